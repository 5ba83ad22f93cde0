#!/usr/bin/env python3
"""The picture of the evaluation page in the README: docs/images/evaluation.png, by Debian's Chromium.

The page is of the demo's pictures, so it shows what the demo's figures are made of; it holds plots and tables, no picture.
"""

import pathlib
import subprocess
import sys
import tempfile

import pictures
from stage import BINARY, ROOT, Trouble, run

sys.path.insert(0, str(ROOT / "deploy" / "local"))

import packages  # noqa: E402

OUT = ROOT / "docs" / "images" / "evaluation.png"
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


def main() -> None:
    packages.install(packages.missing({"chromium": "chromium"}))
    OUT.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        page = folder / "page.html"
        run([BINARY, "evaluate", "--annotations", annotations(folder).name, "--root", pictures.HERE, "--perturb", "social", "--sweep", "jpeg", "--html", page],
            "assay evaluate", cwd=folder)
        # Chromium's own sandbox wants rights that a container's root has not; the page is ours, and runs nothing.
        subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={WIDTH},{HEIGHT}",
                        f"--user-data-dir={folder / 'profile'}", f"--screenshot={OUT}", page.as_uri()], check=True, capture_output=True)
    print(f"{OUT.relative_to(ROOT)}: {OUT.stat().st_size // 1024} kB")


if __name__ == "__main__":
    try:
        main()
    except Trouble as trouble:
        sys.exit(f"screenshots: {trouble}")
