"""A model of one's own: annotated, trained, measured, calibrated, promoted, trained on."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import clients
import textures

DOCUMENTS = ["docs/training.md", "docs/evaluation.md"]
IMAGES = 64
# As many as one core trains on in a few seconds.
RECIPE = "tiny.toml"
ARCHITECTURE = "resnet18-nodown-16"


def prepare(place) -> list[tuple[str, str]]:
    folder = place.folder
    for number in range(IMAGES):
        kind = textures.maker(number)
        # A quarter is held out; the rest comes from four cameras and two generators.
        top = folder / ("held" if number % 16 >= 12 else ".")
        below = f"real/camera-{number // 4 % 4}" if kind == textures.CAMERA else f"fake/{kind}"
        (top / below).mkdir(parents=True, exist_ok=True)
        (top / below / f"{number}.png").write_bytes(textures.png(number))
    for name in ("imaginet", "images"):
        (folder / name).symlink_to(".")
    recipe = (pathlib.Path(textures.__file__).parent / "textures.toml").read_text()
    (folder / RECIPE).write_text(recipe.replace("epochs = 3", "epochs = 1"))
    (folder / "generators.toml").write_text(recipe.replace('classes = "families"', 'classes = "generators"'))
    assay = place.binary
    for name, top in (("val", folder / "held"), ("train", folder)):
        with (folder / f"{name}.txt").open("w") as file:
            subprocess.run([assay, "labels", "annotate", top / "real", top / "fake", "--root", folder], stdout=file, check=True)
    # Every second image: a sweep scores each under dozens of conditions.
    columns, *lines = (folder / "val.txt").read_text().splitlines()
    (folder / "test.txt").write_text("\n".join([columns, *lines[::2]]) + "\n")
    subprocess.run([assay, "model", "init", "--arch", ARCHITECTURE, "--out", folder / "first"], check=True, stdout=subprocess.DEVNULL)
    shutil.copy(folder / "first" / "weights.safetensors", folder / "start.safetensors")
    # The platform that runs Assay has its tables.
    subprocess.run([assay, "migrate"], env=os.environ | place.variables(), check=True, stdout=subprocess.DEVNULL)
    store(place)
    return [
        ("--recipe small --arch resnet50-half --out", f"--recipe ./{RECIPE} --arch {ARCHITECTURE} --out"),
        ("--arch resnet50-half", f"--arch {ARCHITECTURE}"),
        ("--recipe small --folds-by source", f"--recipe ./{RECIPE} --folds-by source --folds 2"),
        ("models/mine", "mine"),
        ("--out models/unseen", "--out unseen"),
        ("--out models/small-mine", "--out small-mine"),
        ("--arch resnet18-nodown --recipe imaginet", f"--arch {ARCHITECTURE} --recipe ./generators.toml"),
        ("--epochs 20", "--epochs 1"),
        ("assay labels import", f"export ASSAY__RETRAIN__MIN_IMAGES=20 ASSAY__RETRAIN__RECIPE=./{RECIPE}\nassay labels import"),
        ("s3://datasets/imaginet", "s3://uploads/imaginet"),
        ("VERSION", "$(python3 -c 'import json; print(json.load(open(\"mine/manifest.json\"))[\"version\"])')"),
    ]


def store(place) -> None:
    """The images that train.txt names, where the labels are imported from."""
    sys.path.insert(0, str(clients.install(place.servers)))
    bucket = clients.bucket_client(place.settings)
    for line in (place.folder / "train.txt").read_text().splitlines()[1:]:
        path = line.partition(",")[0]
        bucket.put_object(Bucket="uploads", Key=f"imaginet/{path}", Body=(place.folder / path).read_bytes())


def outcome(place) -> str:
    version = json.loads((place.folder / "mine" / "manifest.json").read_text())["version"]
    return f"model {version} of {IMAGES} images is promoted"
