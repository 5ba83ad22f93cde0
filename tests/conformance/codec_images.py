"""Writes AVIF, JPEG XL and HEIC of many kinds, and the crop of each by libavif, libjxl and libheif: what the decoder here should be
near to."""

import io
import pathlib
import subprocess
import sys

import imagecodecs
import numpy as np
import pillow_heif
import pillow_jxl  # noqa: F401  (registers itself with Pillow)
from images import CROP, crop, deep, photo, saved, scene
from PIL import Image

pillow_heif.register_heif_opener()

AVIF, JXL, HEIC = {"format": "AVIF", "speed": 8}, {"format": "JXL"}, {"format": "HEIF"}


def animated(name: str, width: int, height: int) -> bytes:
    first, second = (photo(f"{name} {n}", width, height) for n in range(2))
    file = io.BytesIO()
    first.save(file, save_all=True, append_images=[second], duration=100, **AVIF, quality=70)
    return file.getvalue()


def heic_of(name: str, width: int, height: int, **how) -> bytes:
    """10 bits a sample."""
    pillow_heif.options.SAVE_HDR_TO_12_BIT = False
    file = io.BytesIO()
    samples = deep(name, width, height, 3)
    pillow_heif.from_bytes(mode="RGB;16", size=(width, height), data=samples.tobytes()).save(file, **how)
    return file.getvalue()


def jxl_of_jpeg(folder: pathlib.Path) -> bytes:
    source = folder / "source.jpg"
    source.write_bytes(saved("jpeg", 500, 375, "RGB", format="JPEG", quality=80))
    target = folder / "packed.jxl"
    Image.open(source).save(target, lossless_jpeg=True)
    packed = target.read_bytes()
    source.unlink()
    target.unlink()
    return packed


def all_images(folder: pathlib.Path) -> dict[str, bytes]:
    return {
        "avif-420.avif": saved("a1", 640, 480, "RGB", **AVIF, quality=75),
        "avif-422.avif": saved("a2", 642, 481, "RGB", **AVIF, quality=75, subsampling="4:2:2"),
        "avif-444.avif": saved("a3", 641, 480, "RGB", **AVIF, quality=85, subsampling="4:4:4"),
        "avif-grey.avif": saved("a4", 300, 280, "RGB", **AVIF, quality=75, subsampling="4:0:0"),
        "avif-odd.avif": saved("a5", 301, 263, "RGB", **AVIF, quality=60),
        "avif-small.avif": saved("a6", 37, 101, "RGB", **AVIF, quality=60),
        "avif-alpha.avif": saved("a7", 400, 301, "RGBA", **AVIF, quality=70),
        "avif-limited.avif": saved("a8", 500, 400, "RGB", **AVIF, quality=75, range="limited"),
        "avif-coarse.avif": saved("a9", 500, 400, "RGB", **AVIF, quality=10),
        "avif-1080p.avif": saved("a10", 1920, 1080, "RGB", **AVIF, quality=75),
        "avif-animated.avif": animated("a11", 320, 270),
        "avif-10-bit.avif": imagecodecs.avif_encode(deep("a12", 400, 300, 3) >> 6, level=80, speed=8, bitspersample=10),
        "avif-12-bit.avif": imagecodecs.avif_encode(deep("a13", 400, 300, 3) >> 4, level=80, speed=8, bitspersample=12),
        "jxl-lossy.jxl": saved("j1", 640, 480, "RGB", **JXL, quality=80),
        "jxl-odd.jxl": saved("j2", 301, 263, "RGB", **JXL, quality=60),
        "jxl-small.jxl": saved("j3", 37, 101, "RGB", **JXL, quality=90),
        "jxl-fast.jxl": saved("j4", 500, 400, "RGB", **JXL, quality=90, effort=1),
        "jxl-coarse.jxl": saved("j5", 500, 400, "RGB", **JXL, quality=20),
        "jxl-lossless.jxl": saved("j6", 400, 300, "RGB", **JXL, lossless=True),
        "jxl-grey.jxl": saved("j7", 300, 280, "L", **JXL, quality=80),
        "jxl-alpha.jxl": saved("j8", 400, 301, "RGBA", **JXL, quality=85),
        "jxl-16-bit.jxl": imagecodecs.jpegxl_encode(deep("j9", 400, 300, 3), distance=1, bitspersample=16),
        "jxl-1080p.jxl": saved("j10", 1920, 1080, "RGB", **JXL, quality=85),
        "jxl-animated.jxl": imagecodecs.jpegxl_encode(
            np.stack([scene("j11", 320, 270), scene("j12", 320, 270)]), distance=1.5, photometric="rgb"
        ),
        "jxl-of-jpeg.jxl": jxl_of_jpeg(folder),
        "heic-420.heic": saved("h1", 640, 480, "RGB", **HEIC, quality=75),
        "heic-422.heic": saved("h2", 642, 482, "RGB", **HEIC, quality=75, chroma=422),
        "heic-444.heic": saved("h3", 640, 480, "RGB", **HEIC, quality=85, chroma=444),
        "heic-grey.heic": saved("h4", 300, 280, "L", **HEIC, quality=75),
        "heic-odd.heic": saved("h5", 301, 263, "RGB", **HEIC, quality=60),
        "heic-small.heic": saved("h6", 38, 102, "RGB", **HEIC, quality=80),
        "heic-alpha.heic": saved("h7", 400, 300, "RGBA", **HEIC, quality=70),
        "heic-10-bit.heic": heic_of("h8", 400, 300, quality=80),
        "heic-1080p.heic": saved("h9", 1920, 1080, "RGB", **HEIC, quality=75),
    }


def by_the_systems_libheif(data: bytes) -> np.ndarray:
    """Its own RGB. The one in pillow-heif's wheel brings a newer libde265, whose pictures differ in some blocks by more than a level."""
    script = pathlib.Path(__file__).with_name("system_libheif.py")
    done = subprocess.run([sys.executable, script], input=data, stdout=subprocess.PIPE, check=True)
    return np.load(io.BytesIO(done.stdout))


def rgb(name: str, data: bytes) -> np.ndarray:
    if name.endswith(".heic"):
        return by_the_systems_libheif(data)
    if name in ("jxl-16-bit.jxl", "jxl-animated.jxl", "jxl-of-jpeg.jxl"):
        # Kinds that Pillow's plug-in does not read, or takes the JPEG out of: libjxl itself, of deep samples the high byte.
        pixels = imagecodecs.jpegxl_decode(data, index=0 if "animated" in name else None)
        return (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def main(out: pathlib.Path) -> None:
    near = out / "near"
    (near / "images").mkdir(parents=True)
    (near / "crops").mkdir()
    images = all_images(near)
    for name, data in images.items():
        (near / "images" / name).write_bytes(data)
        pixels = crop(rgb(name, data))
        assert pixels.shape == (CROP, CROP, 3), name
        (near / "crops" / f"{name}.rgb").write_bytes(pixels.tobytes())
    print(f"conformance: {len(images)} images of AVIF, JPEG XL and HEIC, with the crop of each by their own libraries", flush=True)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
