"""Writes images of all formats and many kinds and sizes, and Pillow's crop of each."""

import io
import pathlib
import struct
import sys
import zlib

import numpy as np
from PIL import Image

CROP = 256


def scene(name: str, width: int, height: int) -> np.ndarray:
    """Something like a photograph, different for every name: light that falls off, soft clouds, edges, grain."""
    random = np.random.default_rng(list(name.encode()))
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = y / max(height, 256), x / max(width, 256)
    picture = np.zeros((height, width, 3), np.float32)
    for channel in range(3):
        slope = random.uniform(-0.6, 0.6, 2)
        picture[..., channel] = random.uniform(0.2, 0.8) + slope[0] * (x - 0.5) + slope[1] * (y - 0.5)
    contrast = random.uniform(0.3, 1.2)
    for octave in range(2, 7):
        cells = random.uniform(-1, 1, (2**octave, 2**octave, 3)).astype(np.float32)
        clouds = Image.fromarray(((cells + 1) * 127).astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
        picture += contrast * 0.5 ** (octave - 1) * (np.asarray(clouds, np.float32) / 127 - 1)
    for _ in range(int(random.integers(1, 9))):
        centre, radius = random.uniform(0, 1, 2), random.uniform(0.03, 0.3)
        inside = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2
        picture[inside] = picture[inside] * 0.3 + random.uniform(0, 0.8, 3).astype(np.float32)
    picture += random.choice([0.005, 0.015, 0.04]) * random.standard_normal(picture.shape, np.float32)
    saturation = random.uniform(0.1, 1.3)
    grey = picture.mean(axis=2, keepdims=True)
    return (np.clip(grey + saturation * (picture - grey), 0, 1) * 255).astype(np.uint8)


def photo(name: str, width: int, height: int, mode: str = "RGB") -> Image.Image:
    picture = Image.fromarray(scene(name, width, height))
    if mode in ("RGBA", "LA"):
        y, x = np.mgrid[0:height, 0:width]
        picture.putalpha(Image.fromarray(((x * 3 + y * 2) % 256).astype(np.uint8)))
    if mode == "P":
        return picture.quantize(200)
    if mode == "CMYK":
        picture = picture.convert("CMYK")
        # Black ink too, which the conversion does not use.
        black = Image.fromarray(scene(name + " black", width, height)[..., 0] // 2)
        return Image.merge("CMYK", [*picture.split()[:3], black])
    # Dithering, the default for one bit, is like no photograph.
    return picture.convert(mode, dither=Image.Dither.NONE)


def saved(name: str, width: int, height: int, mode: str, **how) -> bytes:
    file = io.BytesIO()
    photo(name, width, height, mode).save(file, **how)
    return file.getvalue()


def animated(name: str, width: int, height: int, mode: str, **how) -> bytes:
    first, *others = (photo(f"{name} {n}", width, height, mode) for n in range(3))
    file = io.BytesIO()
    first.save(file, save_all=True, append_images=others, duration=100, **how)
    return file.getvalue()


def png(width: int, height: int, bits: int, colour: int, samples: np.ndarray, interlaced: bool = False) -> bytes:
    """PNG of the kinds that Pillow does not write. `samples`: height × width × channels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    def rows(part: np.ndarray) -> bytes:
        if part.size == 0:
            return b""
        if bits == 16:
            packed = part.astype(">u2").reshape(len(part), -1).view(np.uint8)
        elif bits == 8:
            packed = part.astype(np.uint8).reshape(len(part), -1)
        else:
            flat = part.reshape(len(part), -1)
            each = (flat[..., None] >> np.arange(bits - 1, -1, -1)) & 1
            packed = np.packbits(each.reshape(len(part), -1).astype(np.uint8), axis=1)
        # Filter "up" in all rows but the first, so that filters are at work.
        filtered = packed.copy()
        filtered[1:] -= packed[:-1]
        kinds = np.full((len(part), 1), 2, np.uint8)
        return np.hstack([kinds, filtered]).tobytes()

    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    body = b"".join(rows(samples[y::dy, x::dx]) for x, y, dx, dy in passes) if interlaced else rows(samples)
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, int(interlaced))
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def deep(name: str, width: int, height: int, channels: int) -> np.ndarray:
    """16-bit samples: a scene in the high bytes, noise in the low ones."""
    high = scene(name, width, height)[..., :channels].astype(np.uint16)
    return high << 8 | np.random.default_rng(len(name)).integers(0, 256, high.shape, np.uint16)


def on_larger_screen(gif: bytes, width: int, height: int) -> bytes:
    return gif[:6] + struct.pack("<HH", width, height) + gif[10:]


def all_images() -> dict[str, bytes]:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    j, p, w = {"format": "JPEG"}, {"format": "PNG"}, {"format": "WEBP"}
    made = {
        "jpeg-420.jpg": saved("a", 640, 480, "RGB", **j, quality=85),
        "jpeg-422.jpg": saved("b", 641, 483, "RGB", **j, quality=75, subsampling="4:2:2"),
        "jpeg-444.jpg": saved("c", 300, 200, "RGB", **j, quality=95, subsampling="4:4:4"),
        "jpeg-coarse.jpg": saved("d", 500, 333, "RGB", **j, quality=20),
        "jpeg-progressive.jpg": saved("e", 1920, 1080, "RGB", **j, quality=80, progressive=True),
        "jpeg-1080p.jpg": saved("f", 1920, 1080, "RGB", **j, quality=90),
        "jpeg-12mp.jpg": saved("g", 4032, 3024, "RGB", **j, quality=85),
        "jpeg-grey.jpg": saved("h", 640, 427, "L", **j, quality=85),
        "jpeg-cmyk.jpg": saved("i", 400, 300, "CMYK", **j, quality=90),
        "jpeg-restart.jpg": saved("j", 700, 500, "RGB", **j, quality=85, restart_marker_blocks=7),
        "jpeg-turned.jpg": saved("k", 320, 500, "RGB", **j, quality=85, exif=exif),
        "jpeg-narrow.jpg": saved("l", 17, 500, "RGB", **j, quality=85),
        "jpeg-one-pixel.jpg": saved("m", 1, 1, "RGB", **j, quality=85),
        "png-rgb.png": saved("n", 256, 256, "RGB", **p),
        "png-alpha.png": saved("o", 255, 257, "RGBA", **p),
        "png-grey-alpha.png": saved("p", 300, 280, "LA", **p),
        "png-palette.png": saved("q", 400, 400, "P", **p),
        "png-palette-transparent.png": saved("r", 300, 200, "P", **p, transparency=3),
        "png-1-bit.png": saved("s", 300, 300, "1", **p),
        "png-4-bit.png": png(301, 290, 4, 0, scene("t", 301, 290)[..., :1] >> 4),
        "png-16-bit.png": png(270, 300, 16, 2, deep("u", 270, 300, 3)),
        "png-16-bit-grey.png": png(300, 270, 16, 0, deep("v", 300, 270, 1)),
        "png-interlaced.png": png(301, 263, 8, 2, scene("w", 301, 263), interlaced=True),
        "png-tiny.png": saved("x", 2, 3, "RGB", **p),
        "webp-lossy.webp": saved("y", 640, 480, "RGB", **w, quality=80),
        "webp-lossy-alpha.webp": saved("z", 333, 301, "RGBA", **w, quality=70),
        "webp-lossless.webp": saved("A", 512, 300, "RGB", **w, lossless=True),
        "webp-lossless-alpha.webp": saved("B", 280, 300, "RGBA", **w, lossless=True, exact=True),
        "webp-animated.webp": animated("C", 320, 270, "RGB", **w, quality=75),
        "webp-small.webp": saved("D", 100, 37, "RGB", **w, quality=90),
        "gif-palette.gif": saved("E", 500, 375, "P", format="GIF"),
        "gif-grey.gif": saved("F", 257, 300, "L", format="GIF"),
        "gif-animated.gif": animated("G", 300, 260, "P", format="GIF"),
        "gif-on-larger-screen.gif": on_larger_screen(saved("H", 200, 180, "P", format="GIF", transparency=5), 300, 270),
        "bmp-24-bit.bmp": saved("I", 301, 299, "RGB", format="BMP"),
        "bmp-palette.bmp": saved("J", 300, 256, "P", format="BMP"),
        "tiff-raw.tiff": saved("K", 300, 301, "RGB", format="TIFF"),
        "tiff-lzw.tiff": saved("L", 400, 260, "RGB", format="TIFF", compression="tiff_lzw"),
        "tiff-deflate-grey.tiff": saved("M", 280, 280, "L", format="TIFF", compression="tiff_adobe_deflate"),
        "tiff-16-bit-grey.tiff": saved_deep_tiff("N", 290, 270),
    }
    # What careless programs do to JPEGs, and Pillow puts up with.
    whole = made["jpeg-420.jpg"]
    made["jpeg-extra-bytes.jpg"] = whole[:-2] + b"\0" * 9 + whole[-2:] + b"trailing bytes"
    return made


def saved_deep_tiff(name: str, width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(deep(name, width, height, 1)[..., 0]).save(file, format="TIFF")
    return file.getvalue()


def rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I;16"):
        # Pillow's own conversion clips at 255 and leaves a white image: here the high byte, as it does for colour.
        grey = (np.asarray(image) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    return np.asarray(image.convert("RGB"))


def crop(pixels: np.ndarray) -> np.ndarray:
    """Fills short sides up by reflection that does not repeat the border, then takes the centre."""
    height, width = pixels.shape[:2]
    missing = [max(CROP - height, 0), max(CROP - width, 0)]
    before_and_behind = [(d // 2, d - d // 2) for d in missing]
    pixels = np.pad(pixels, [*before_and_behind, (0, 0)], mode="reflect")
    y, x = ((side - CROP) // 2 for side in pixels.shape[:2])
    return pixels[y : y + CROP, x : x + CROP]


def main(out: pathlib.Path) -> None:
    for folder in ("images", "crops"):
        (out / folder).mkdir()
    images = all_images()
    for name, data in images.items():
        (out / "images" / name).write_bytes(data)
        with Image.open(io.BytesIO(data)) as image:
            pixels = crop(rgb(image))
        assert pixels.shape == (CROP, CROP, 3), name
        (out / "crops" / f"{name}.rgb").write_bytes(pixels.tobytes())
    print(f"conformance: {len(images)} images, with Pillow's crop of each", flush=True)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
