"""Scores the crops with PyTorch: an ImagiNet network with random weights, saved as the published checkpoint is."""

import argparse
import json
import os
import pathlib
import sys
import time

# Functions of the empty libraries are looked up only when called, which on a CPU they never are.
sys.setdlopenflags(os.RTLD_LAZY | os.RTLD_LOCAL)

import numpy as np  # noqa: E402
import PIL  # noqa: E402
import torch  # noqa: E402
import torchvision  # noqa: E402
from PIL import Image  # noqa: E402
from torch import nn  # noqa: E402

SEED = 2407_20020
CROP = 256
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# What the random heads are scaled to, over the images.
LOGIT_SPREAD = 2.0
GENERATOR_SPREAD = 1.5


def backbone() -> nn.Module:
    """torchvision's ResNet-50 without the two early halvings, up to the 2048 means of its last stage."""
    network = torchvision.models.resnet50(weights=None)
    network.conv1.stride = (1, 1)
    network.maxpool.stride = 1
    network.fc = nn.Identity()
    return network


def enliven(network: nn.Module, crops: torch.Tensor) -> None:
    """Scales and shifts away from 1 and 0, and running statistics that fit the activations."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    last_of_a_block = {id(module.bn3) for module in network.modules() if hasattr(module, "bn3")}
    for norm in norms:
        # Residual branches are kept small: in a network that was never trained they would drown what
        # distinguishes one image from another, and the scores would hang on rounding.
        most = 0.4 if id(norm) in last_of_a_block else 1.5
        nn.init.uniform_(norm.weight, most / 3, most)
        nn.init.normal_(norm.bias, 0, 0.1)
        norm.momentum = None  # a plain mean over all batches
    network.train()
    with torch.no_grad():
        network(crops[..., 64:192, 64:192])
    network.eval()


def published_names(network: nn.Module) -> dict[str, torch.Tensor]:
    """The state under the names of the published checkpoint, with the parts that scoring leaves out."""
    state = {f"encoder.{name.replace('downsample', 'shortcut')}": value for name, value in network.state_dict().items()}
    others = {
        "encoder.selfcon_layer.1": nn.Linear(512, 2048),
        "head.0": nn.Linear(2048, 2048),
        "head.2": nn.Linear(2048, 128),
        "sub_heads.0.0": nn.Linear(2048, 2048),
        "sub_heads.0.2": nn.Linear(2048, 128),
    }
    for prefix, layer in others.items():
        state |= {f"{prefix}.{name}": value for name, value in layer.state_dict().items()}
    return state


def origin_head(embeddings: torch.Tensor) -> nn.Sequential:
    head = nn.Sequential(
        nn.BatchNorm1d(2048), nn.Linear(2048, 1024), nn.ReLU(inplace=True), nn.Dropout(0.2), nn.Linear(1024, 1)
    )
    norm = head[0]
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    nn.init.normal_(norm.bias, 0, 0.1)
    # One variance for all: dividing each feature by its own would blow up those that hardly vary, and rounding.
    norm.running_mean.copy_(embeddings.mean(0))
    norm.running_var.copy_(embeddings.var(0).mean() * torch.empty(2048).uniform_(0.8, 1.25))
    head.eval()
    spread_out(head, embeddings, head[-1], LOGIT_SPREAD)
    return head


class GeneratorHead(nn.Sequential):
    """Names the generator by the direction of the embedding alone."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(2048, 1024), nn.ReLU(inplace=True), nn.Linear(1024, 4))

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        return super().forward(nn.functional.normalize(embeddings, dim=1))


def spread_out(head: nn.Module, embeddings: torch.Tensor, last: nn.Linear, spread: float) -> None:
    """Scales the last layer until its outputs over the images have mean 0 and the spread that is wanted."""
    outputs = head(embeddings)
    last.weight.mul_(spread / outputs.std(0, keepdim=True).T)
    last.bias.zero_()
    last.bias.copy_(-head(embeddings).mean(0))


def load(out: pathlib.Path) -> tuple[list[str], torch.Tensor]:
    names = sorted(path.name for path in (out / "images").iterdir())
    crops = [np.fromfile(out / "crops" / f"{name}.rgb", np.uint8).reshape(CROP, CROP, 3) for name in names]
    pixels = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return names, (pixels - mean) / std


def main(out: pathlib.Path) -> None:
    started = time.monotonic()
    torch.manual_seed(SEED)
    names, crops = load(out)
    network = backbone()
    enliven(network, crops[::6])
    with torch.no_grad():
        embeddings = []
        for n, crop in enumerate(crops):
            embeddings.append(network(crop[None]))
            if n % 8 == 0:
                print(f"conformance: scored {n} of {len(names)} images, {time.monotonic() - started:.0f} s", flush=True)
        embeddings = torch.cat(embeddings)
        origin = origin_head(embeddings)
        generator = GeneratorHead()
        spread_out(generator, embeddings, generator[-1], GENERATOR_SPREAD)
        logits = origin(embeddings)[:, 0]
        probabilities = generator(embeddings).softmax(1)

    # Beside the weights the published file holds its training's arguments and the optimiser's state.
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.005, momentum=0.9, weight_decay=1e-4)
    training = {
        "opt": argparse.Namespace(model="resnet50nodown", batch_size=200, temp=0.07, cosine=True),
        "optimizer": optimizer.state_dict(),
        "epoch": 400,
    }
    torch.save({**training, "model": published_names(network), "classifier": origin.state_dict()}, out / "checkpoint.pt")
    torch.save({"classifier": generator.state_dict()}, out / "generators.pt")

    images = []
    for n, name in enumerate(names):
        with Image.open(out / "images" / name) as image:
            about = {"name": name, "format": image.format.lower(), "width": image.width, "height": image.height}
        images.append(about | {
            "logit": logits[n].item(),
            "generators": probabilities[n].tolist(),
            "embedding_norm": embeddings[n].norm().item(),
        })  # fmt: skip
    versions = {"torch": torch.__version__, "torchvision": torchvision.__version__, "pillow": PIL.__version__}
    (out / "expected.json").write_text(json.dumps({"versions": versions, "images": images}, indent=1) + "\n")
    decided = sum(abs(logit) > 0.1 for logit in logits.tolist())
    print(
        f"conformance: logits from {logits.min():.2f} to {logits.max():.2f}, {decided} of {len(names)} beyond ±0.1,"
        f" after {time.monotonic() - started:.0f} s",
        flush=True,
    )


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
