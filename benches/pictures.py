"""Something like photographs, made on the spot: noise whose strength falls with its frequency as in nature, light
that falls off, a few hard edges, sensor grain. What counts is that JPEG spends on it what it spends on photographs."""

import io
import pathlib

import numpy
from PIL import Image

SIDE = 256
QUALITY = {"format": "JPEG", "quality": 85, "subsampling": "4:2:0"}
# What the decoders are measured with: name → (width, height, progressive).
SIZES = {
    "640x480": (640, 480, False),
    "940x720": (940, 720, False),
    "1920x1080": (1920, 1080, False),
    "12mp": (4032, 3024, False),
    "12mp_progressive": (4032, 3024, True),
}
# About 200 kB as JPEG.
UPLOAD = (940, 720)


def scene(seed: int, width: int, height: int) -> Image.Image:
    random = numpy.random.default_rng(seed)
    y, x = numpy.mgrid[0:height, 0:width].astype(numpy.float32)
    distance = numpy.hypot(numpy.fft.fftfreq(height)[:, None], numpy.fft.rfftfreq(width)[None, :]).astype(numpy.float32)
    distance[0, 0] = 1
    picture = numpy.empty((height, width, 3), numpy.float32)
    shared = _clouds(random, distance, (height, width))
    for channel in range(3):
        slope = random.uniform(-0.25, 0.25, 2)
        light = 0.5 + slope[0] * (x / width - 0.5) + slope[1] * (y / height - 0.5)
        picture[..., channel] = light + 0.15 * shared + 0.05 * _clouds(random, distance, (height, width))
    for _ in range(12):
        centre, radius = random.uniform(0, 1, 2) * (height, width), random.uniform(0.03, 0.15) * height
        inside = (x - centre[1]) ** 2 + (y - centre[0]) ** 2 < radius**2
        picture[inside] = 0.6 * picture[inside] + 0.4 * random.uniform(0, 1, 3).astype(numpy.float32)
    picture += 0.010 * random.standard_normal((height, width, 1), numpy.float32)
    return Image.fromarray((numpy.clip(picture, 0, 1) * 255).astype(numpy.uint8))


def _clouds(random: numpy.random.Generator, distance: numpy.ndarray, shape: tuple[int, int]) -> numpy.ndarray:
    noise = numpy.fft.rfft2(random.standard_normal(shape, numpy.float32)) / distance**1.2
    noise = numpy.fft.irfft2(noise, shape).astype(numpy.float32)
    return noise / noise.std()


def jpeg(picture: Image.Image, progressive: bool = False) -> bytes:
    file = io.BytesIO()
    picture.save(file, progressive=progressive, **QUALITY)
    return file.getvalue()


def with_note(data: bytes, note: str) -> bytes:
    """The same picture in other bytes: a comment after the first marker. So no result can be used again."""
    text = note.encode()
    return data[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + data[2:]


def for_decoders(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """A file of each size, made the first time."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / f"{name}.jpg" for name in SIZES}
    for name, (width, height, progressive) in SIZES.items():
        if not files[name].exists():
            files[name].write_bytes(jpeg(scene(1, width, height), progressive))
    return files


def uploads(folder: pathlib.Path, count: int) -> tuple[list[bytes], pathlib.Path]:
    """Different pictures as JPEG, and a file with their crops, one after the other; made the first time."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"upload-{number:03}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        if not path.exists():
            path.write_bytes(jpeg(scene(100 + number, *UPLOAD)))
    crops = folder / f"crops-{count}.rgb"
    if not crops.exists():
        crops.write_bytes(b"".join(centre(path).tobytes() for path in paths))
    return [path.read_bytes() for path in paths], crops


def centre(path: pathlib.Path) -> numpy.ndarray:
    image = Image.open(path).convert("RGB")
    left, top = (image.width - SIDE) // 2, (image.height - SIDE) // 2
    return numpy.asarray(image.crop((left, top, left + SIDE, top + SIDE)))
