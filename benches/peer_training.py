"""The training step as ImagiNet's authors' loop has it: PyTorch, fp32, tensors as they come, SelfCon on noise. Prints images a
second and the most memory that the process took, as `bench training` does."""

import argparse
import json
import resource
import time

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class Network(nn.Module):
    """resnet18-nodown with its sub-network and both projections."""

    def __init__(self, width: int):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 7, 1, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, 1, 1))
        sides, inputs, layers = [width, 2 * width, 4 * width, 8 * width], width, []
        for layer, outputs in enumerate(sides):
            layers.append(nn.Sequential(Block(inputs, outputs, 2 if layer else 1), Block(outputs, outputs, 1)))
            inputs = outputs
        self.layers = nn.ModuleList(layers)
        self.sub = nn.Linear(2 * width, inputs)
        self.heads = nn.ModuleList(nn.Sequential(nn.Linear(inputs, inputs), nn.ReLU(), nn.Linear(inputs, 128)) for _ in range(2))

    def forward(self, x):
        x = self.stem(x)
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index == 1:
                branch = self.sub(x.mean((2, 3)))
        return [functional.normalize(head(y)) for head, y in zip(self.heads, (x.mean((2, 3)), branch))]


def contrastive(views, labels, temperature=0.07):
    rows, labels = torch.cat(views), labels.repeat(len(views))
    likeness = rows @ rows.T / temperature
    likeness = likeness - likeness.max(1, keepdim=True).values.detach()
    others = 1 - torch.eye(len(rows))
    alike = (labels[:, None] == labels[None]).float() * others
    shares = likeness - (likeness.exp() * others).sum(1, keepdim=True).log()
    return -((shares * alike).sum(1) / alike.sum(1).clamp(min=1)).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    network = Network(args.width)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.005, momentum=0.9, weight_decay=1e-4)
    images = torch.rand(args.batch, 3, args.side, args.side)
    origin = torch.arange(args.batch) % 2
    synthetic = origin == 1
    generator = (torch.arange(args.batch) // 2 % 4)[synthetic]

    def step() -> None:
        views = network(images)
        loss = contrastive(views, origin) + contrastive([view[synthetic] for view in views], generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    step()
    began = time.monotonic()
    for _ in range(args.steps):
        step()
    seconds = (time.monotonic() - began) / args.steps
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"width": args.width, "batch": args.batch, "seconds_a_step": seconds,
                      "images_per_second": args.batch / seconds, "peak_mb": peak}))


if __name__ == "__main__":
    main()
