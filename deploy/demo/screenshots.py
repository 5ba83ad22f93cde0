#!/usr/bin/env python3
"""The pictures in the documents, docs/images/*.png, by Debian's Chromium.

The evaluation page is of the demo's pictures, so it shows what the demo's figures are made of; it holds plots and tables, no picture. The
pages of the review console have made-up verdicts and pictures that are drawn for them (crates/console/check).
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile

import pictures
from stage import BINARY, ROOT, Trouble, run

sys.path.insert(0, str(ROOT / "deploy" / "local"))

import packages  # noqa: E402

IMAGES = ROOT / "docs" / "images"
# Samples of the console's pages: the one where people vote, an appeal, the figures.
CONSOLE = ["item", "appeal", "numbers"]
# What fits on a reader's screen.
WIDTH, HEIGHT = 1200, 1015


def annotations(folder: pathlib.Path) -> pathlib.Path:
    found, _ = pictures.gather()
    lines = ["path,origin,content_type,model"]
    for picture in found:
        path = picture.path.relative_to(pictures.HERE)
        lines.append(f'"{path}",synthetic,faces,gan' if picture.what == pictures.GENERATED else f'"{path}",real,photos,')
    file = folder / "demo.txt"
    file.write_text("\n".join(lines) + "\n")
    return file


def evaluation(folder: pathlib.Path) -> pathlib.Path:
    page, out = folder / "page.html", IMAGES / "evaluation.png"
    run([BINARY, "evaluate", "--annotations", annotations(folder).name, "--root", pictures.HERE, "--perturb", "social", "--sweep", "jpeg", "--html", page],
        "assay evaluate", cwd=folder)
    # Chromium's own sandbox wants rights that a container's root has not; the page is ours, and runs nothing.
    subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={WIDTH},{HEIGHT}",
                    f"--user-data-dir={folder / 'profile'}", f"--screenshot={out}", page.as_uri()], check=True, capture_output=True)
    return out


def console(folder: pathlib.Path) -> list[pathlib.Path]:
    run([sys.executable, ROOT / "crates" / "console" / "check" / "run.py", "--shots", folder, "light", *CONSOLE], "the console's pages")
    return [shutil.copy(folder / f"{name}.png", IMAGES / f"console-{name}.png") for name in CONSOLE]


def main() -> None:
    packages.install(packages.missing({"chromium": "chromium"}))
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for made in [evaluation(pathlib.Path(scratch)), *console(pathlib.Path(scratch))]:
            print(f"{made.relative_to(ROOT)}: {made.stat().st_size // 1024} kB")


if __name__ == "__main__":
    try:
        main()
    except Trouble as trouble:
        sys.exit(f"screenshots: {trouble}")
