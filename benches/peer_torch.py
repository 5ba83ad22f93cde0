"""PyTorch's own ways to run the network: eager fp32 as the reference evaluates; with channels innermost, in fp32 or by autocast;
compiled. On a GPU fp32 is TF32.

    peer_torch.py eager_fp32|channels_last_fp32|autocast_bf16|compiled_fp32|compiled_bf16|… --weights FILE --crops FILE [--batches 1,4] [--device cuda]
"""

import argparse
import contextlib
import json
import os
import pathlib
import struct
import sys

import contestants
import numpy

# PyTorch's CUDA parts name functions of libraries that aren't there on a machine without a GPU: look them up late.
sys.setdlopenflags(os.RTLD_LAZY)
import torch  # noqa: E402
from torch import nn  # noqa: E402

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BLOCKS = [3, 4, 6, 3]


WAYS = ["eager_fp32", "channels_last_fp32", "autocast_bf16", "autocast_fp16", "compiled_fp32", "compiled_bf16", "compiled_fp16"]
KINDS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Block(nn.Module):
    def __init__(self, channels: int, width: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = nn.Sequential()
        if stride != 1 or channels != 4 * width:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width))

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        return torch.relu(self.bn3(self.conv3(y)) + self.shortcut(x))


class Network(nn.Module):
    """ImagiNet's ResNet-50 (no stride in the stem), or `resnet50-half` (a stem that halves twice, half of the channels after it, and
    the means after all four layers); and the classifier of the origin; named as in our artefact."""

    def __init__(self, half: bool):
        super().__init__()
        self.half, width = half, 32 if half else 64
        self.encoder = nn.Module()
        self.encoder.conv1 = nn.Conv2d(3, 64, 7, 2 if half else 1, 3, bias=False)
        self.encoder.bn1 = nn.BatchNorm2d(64)
        channels = 64
        for number, blocks in enumerate(BLOCKS):
            layer = []
            for index in range(blocks):
                layer.append(Block(channels, width << number, 2 if number > 0 and index == 0 else 1))
                channels = 4 * (width << number)
            setattr(self.encoder, f"layer{number + 1}", nn.Sequential(*layer))
        embedding = 4 * width * 15 if half else channels
        self.origin = nn.Sequential(nn.BatchNorm1d(embedding), nn.Linear(embedding, 1024), nn.ReLU(), nn.Dropout(0.2), nn.Linear(1024, 1))

    def forward(self, x):
        encoder = self.encoder
        x = torch.relu(encoder.bn1(encoder.conv1(x)))
        x = nn.functional.max_pool2d(x, 3, 2 if self.half else 1, 1)
        means = []
        for layer in (encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4):
            x = layer(x)
            means.append(x.mean((2, 3)))
        return self.origin(torch.cat(means, 1) if self.half else means[-1])


def safetensors(path: pathlib.Path) -> dict[str, torch.Tensor]:
    """The tensors of a file: a length, a JSON header, raw numbers."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    found = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        kind = {"F16": numpy.float16, "F32": numpy.float32, "I64": numpy.int64}[entry["dtype"]]
        numbers = numpy.frombuffer(data[begin:end], kind).reshape(entry["shape"])
        found[name] = torch.from_numpy(numbers.astype(numpy.float32 if kind == numpy.float16 else kind))
    return found


def network(weights: pathlib.Path) -> Network:
    tensors = safetensors(weights)
    model = Network(half=tensors["encoder.layer1.0.conv1.weight"].shape[0] == 32)
    missing = model.load_state_dict(tensors, strict=False).missing_keys
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing:
        sys.exit(f"{weights} lacks {', '.join(missing[:5])}")
    return model.eval()


class Peer:
    def __init__(self, how: str, model: Network, device: str):
        self.device = torch.device(device)
        self.kind = KINDS[how.rpartition("_")[2]]
        self.layout = torch.contiguous_format if how == "eager_fp32" else torch.channels_last
        self.model = model.to(self.device, memory_format=self.layout)
        self.mean, self.deviation = (torch.tensor(values, device=self.device).view(3, 1, 1) for values in (MEAN, DEVIATION))
        if self.device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
            torch.backends.cudnn.benchmark = True
        if how.startswith("compiled"):
            from torch._inductor import config

            config.freezing = True
            self.model = torch.compile(self.model, dynamic=False)

    def logits(self, crops: numpy.ndarray) -> torch.Tensor:
        """[n, 256, 256, 3] bytes → [n], on the device"""
        images = torch.from_numpy(crops).to(self.device).permute(0, 3, 1, 2).float().div_(255)
        images = images.sub_(self.mean).div_(self.deviation)
        images = images.contiguous(memory_format=self.layout)
        precision = torch.autocast(self.device.type, dtype=self.kind) if self.kind else contextlib.nullcontext()
        with torch.no_grad(), precision:
            return self.model(images)[:, 0].float()

    def finish(self) -> None:
        """Waits for what was asked for."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("how", choices=WAYS)
    parser.add_argument("--weights", type=pathlib.Path, required=True)
    parser.add_argument("--crops", type=pathlib.Path, required=True)
    parser.add_argument("--batches", default="1,4")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    crops = numpy.fromfile(args.crops, numpy.uint8).reshape(-1, 256, 256, 3)
    peer = Peer(args.how, network(args.weights), args.device)
    logits = [float(peer.logits(crops[index:index + 1])) for index in range(2)]
    for batch in map(int, args.batches.split(",")):
        # Twice: what is compiled at the first call is settled in at the second.
        for _ in range(2 if args.how.startswith("compiled") else 1):
            peer.logits(crops[:batch])

    def round(variant: str, count: int) -> None:
        batch = int(variant)
        for first in range(0, count, batch):
            peer.logits(numpy.take(crops, range(first, min(first + batch, count)), axis=0, mode="wrap"))
        peer.finish()

    where = torch.cuda.get_device_name(peer.device) if peer.device.type == "cuda" else f"{torch.get_num_threads()} threads"
    what = f"PyTorch {torch.__version__}, {where}"
    contestants.serve({"what": what, "logits": logits}, round)


if __name__ == "__main__":
    main()
