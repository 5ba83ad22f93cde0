"""The training step as ImagiNet's authors' loop has it: PyTorch, fp32, tensors as they come, SelfCon; with `autocast_bf16` as those
write it who want it fast on a CPU. Same weights, images and rate as `bench training`.

    peer_training.py eager_fp32|autocast_bf16 --weights FILE --arch resnet18-nodown-32 --crops FILE --batch 32
"""

import argparse
import contextlib
import os
import pathlib

import contestants
import numpy
import peer_torch  # noqa: I001  # first: it prepares for PyTorch's CUDA parts
import torch
from torch import nn
from torch.nn import functional

SIDE = 96
BLOCKS = {"resnet50": [3, 4, 6, 3], "resnet18": [2, 2, 2, 2]}


class Basic(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


def projection(inputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, inputs), nn.ReLU(), nn.Linear(inputs, 128))


class Network(nn.Module):
    """The encoder with its sub-network and both projections, named as in our artefact."""

    def __init__(self, architecture: str):
        super().__init__()
        kind, _, width = architecture.partition("-nodown")
        width = int(width[1:] or 64)
        block, expansion = (peer_torch.Block, 4) if kind == "resnet50" else (Basic, 1)
        self.encoder = nn.Module()
        self.encoder.conv1, self.encoder.bn1 = nn.Conv2d(3, width, 7, 1, 3, bias=False), nn.BatchNorm2d(width)
        channels = width
        for number, blocks in enumerate(BLOCKS[kind]):
            layer, planes = [], width << number
            for index in range(blocks):
                layer.append(block(channels, planes, 2 if number > 0 and index == 0 else 1))
                channels = expansion * planes
            setattr(self.encoder, f"layer{number + 1}", nn.Sequential(*layer))
        self.encoder.selfcon_layer = nn.Sequential(nn.Identity(), nn.Linear(2 * width * expansion, channels))
        self.head, self.sub_heads = projection(channels), nn.ModuleList([projection(channels)])

    def forward(self, x):
        encoder = self.encoder
        x = functional.relu(encoder.bn1(encoder.conv1(x)))
        x = functional.max_pool2d(x, 3, 1, 1)
        x = encoder.layer2(encoder.layer1(x))
        branch = encoder.selfcon_layer(x.mean((2, 3)))
        embedding = encoder.layer4(encoder.layer3(x)).mean((2, 3))
        return [functional.normalize(self.head(embedding)), functional.normalize(self.sub_heads[0](branch))]


def contrastive(views, labels, temperature=0.07):
    rows, labels = torch.cat(views).float(), labels.repeat(len(views))
    likeness = rows @ rows.T / temperature
    likeness = likeness - likeness.max(1, keepdim=True).values.detach()
    others = 1 - torch.eye(len(rows))
    alike = (labels[:, None] == labels[None]).float() * others
    shares = likeness - (likeness.exp() * others).sum(1, keepdim=True).log()
    return -((shares * alike).sum(1) / alike.sum(1).clamp(min=1)).mean()


def images(crops: pathlib.Path, batch: int) -> torch.Tensor:
    crops = numpy.fromfile(crops, numpy.uint8).reshape(-1, 256, 256, 3)
    corners = numpy.take(crops, range(batch), axis=0, mode="wrap")[:, :SIDE, :SIDE]
    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (peer_torch.MEAN, peer_torch.DEVIATION))
    corners = torch.from_numpy(corners.copy()).permute(0, 3, 1, 2).contiguous()
    return corners.float().div_(255).sub_(mean).div_(deviation)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("how", choices=["eager_fp32", "autocast_bf16"])
    parser.add_argument("--weights", type=pathlib.Path, required=True)
    parser.add_argument("--arch", required=True)
    parser.add_argument("--crops", type=pathlib.Path, required=True)
    parser.add_argument("--batch", type=int, default=32)
    args = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    network = Network(args.arch)
    missing = network.load_state_dict(peer_torch.safetensors(args.weights), strict=False).missing_keys
    if missing := [name for name in missing if not name.endswith("num_batches_tracked")]:
        raise SystemExit(f"{args.weights} lacks {', '.join(missing[:5])}")
    network.train()
    batch = images(args.crops, args.batch)
    bf16 = args.how == "autocast_bf16"
    if bf16:
        network, batch = network.to(memory_format=torch.channels_last), batch.contiguous(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.005, momentum=0.9, weight_decay=1e-4)
    origin = torch.arange(args.batch) % 2
    synthetic = origin == 1
    generator = (torch.arange(args.batch) // 2 % 4)[synthetic]

    def step() -> float:
        with torch.autocast("cpu", dtype=torch.bfloat16) if bf16 else contextlib.nullcontext():
            views = network(batch)
        loss = contrastive(views, origin) + contrastive([view[synthetic] for view in views], generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.item()

    what = f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads"
    contestants.serve({"what": what, "losses": [step() for _ in range(2)]}, lambda _, steps: [step() for _ in range(steps)])


if __name__ == "__main__":
    main()
