"""Images to learn from that are computed on the spot: smooth ones are real, those with a fine pattern synthetic."""

import concurrent.futures
import math
import pathlib
import struct
import zlib

SIDE = 256
CAMERA, PROGAN, SDXL = "camera", "progan", "sdxl-1.0"
# origin,content_type,model,specific_model of ImagiNet's annotations.
CODES = {CAMERA: "0,0,4,8", PROGAN: "1,0,0,0", SDXL: "1,0,1,4"}


def maker(number: int) -> str:
    """Every second one is real."""
    return (CAMERA, PROGAN, CAMERA, SDXL)[number % 4]


def pattern(kind: str, x: int, y: int) -> int:
    if kind == PROGAN:
        return 24 if (x + y) % 2 else -24
    if kind == SDXL:
        return (24, 0, -24, 0)[x % 4]
    return 0


def png(number: int) -> bytes:
    kind = maker(number)
    phase = number * 37
    across = [25 * math.sin(x * math.sin(phase * 0.11) / 25 + phase) for x in range(SIDE)]
    down = [25 * math.sin(y * math.cos(phase * 0.07) / 25 - phase) for y in range(SIDE)]
    rows = bytearray()
    for y in range(SIDE):
        rows.append(0)
        for x in range(SIDE):
            value = 128 + across[x] + down[y] + pattern(kind, x, y) + (x * 7919 + y * 104729 + number * 31) % 17 - 8
            shade = min(max(int(value), 0), 255)
            rows += bytes((shade, min(shade + number % 20, 255), max(shade - number % 30, 0)))

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(rows), 1)) + chunk(b"IEND", b"")


def write(folder: pathlib.Path, numbers: range, annotations: str) -> pathlib.Path:
    """Writes images and what they are; gives the file that says so."""
    with concurrent.futures.ProcessPoolExecutor() as pool:
        for number, image in zip(numbers, pool.map(png, numbers)):
            (folder / f"{number}.png").write_bytes(image)
    path = folder / annotations
    path.write_text("".join(f"{number}.png,{CODES[maker(number)]}\n" for number in numbers))
    return path
