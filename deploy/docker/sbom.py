#!/usr/bin/env python3
"""Writes the image's bill of materials (CycloneDX 1.6, JSON): the crates that are linked, PyTorch's and NVIDIA's libraries,
Debian's. Checked against CycloneDX's own schema before it is written."""

import argparse
import json
import pathlib
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy" / "local"))

import clients  # noqa: E402

PACKAGES = ["cyclonedx-python-lib[json-validation]==11.12.0"]


def command(*words: object) -> str:
    return clients.run(list(words), str(words[0]), cwd=ROOT)


def crates() -> list[dict]:
    """What `cargo metadata` says of every crate that is linked into a binary, ours first."""
    host = next(line.split()[1] for line in command("rustc", "-vV").splitlines() if line.startswith("host:"))
    metadata = json.loads(command("cargo", "metadata", "--format-version=1", "--locked", f"--filter-platform={host}"))
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    found, wanted = {}, [metadata["resolve"]["root"]]
    while wanted:
        name = wanted.pop()
        # What runs in the compiler is not in the binary; nor is a dependency of kind "build" or "dev".
        if name in found or any("proc-macro" in target["kind"] for target in packages[name]["targets"]):
            continue
        found[name] = packages[name]
        wanted += [dep["pkg"] for dep in nodes[name]["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
    return list(found.values())


def materials(root: pathlib.Path):
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    terms = LicenseFactory()
    digests = {(lock["name"], lock["version"]): lock.get("checksum")
               for lock in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]}  # fmt: skip

    def crate(package: dict, kind: ComponentType) -> Component:
        digest = digests.get((package["name"], package["version"]))
        purl = PackageURL("cargo", name=package["name"], version=package["version"])
        licence = (package["license"] or "").replace("/", " OR ")
        return Component(
            type=kind, name=package["name"], version=package["version"], purl=purl, bom_ref=str(purl),
            licenses=[terms.make_from_string(licence)] if licence else [],
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)] if digest else [])

    def library(kind: str, namespace: str | None, name: str, version: str) -> Component:
        purl = PackageURL(kind, namespace, name, version)
        return Component(type=ComponentType.LIBRARY, name=name, version=version, purl=purl, bom_ref=str(purl))

    ours, *others = crates()
    bom = Bom()
    bom.metadata.component = crate(ours, ComponentType.APPLICATION)
    components = [crate(package, ComponentType.LIBRARY) for package in others]
    # image_root.py leaves the terms of each library under the name of what it came in.
    documents = root / "usr" / "share" / "doc" / "assay"
    for path in sorted(documents.iterdir()):
        if path.is_dir():
            name, version = path.name.rsplit("-", 1)
            components.append(library("pypi", None, name.replace("_", "-"), version))
        elif path.suffix == ".copyright":
            version = command("dpkg-query", "--show", "--showformat=${Version}", path.stem)
            components.append(library("deb", "debian", path.stem, version.strip()))
    bom.components.update(components)
    bom.register_dependency(bom.metadata.component, components)
    return bom


def write(root: pathlib.Path, out: pathlib.Path) -> int:
    """The number of components."""
    sys.path.insert(0, str(clients.install(ROOT / ".local" / "sbom", PACKAGES)))
    from cyclonedx.output.json import JsonV1Dot6
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    bom = materials(root)
    text = JsonV1Dot6(bom).output_as_string(indent=1)
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong:
        sys.exit(f"sbom: what was written is no CycloneDX 1.6: {wrong}")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text + "\n")
    return len(bom.components)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=ROOT / "target" / "image-root", metavar="DIR", help="what image_root.py built")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "target" / "sbom.cdx.json", metavar="FILE")
    options = parser.parse_args()
    print(f"sbom: {write(options.root, options.out)} components in {options.out}")


if __name__ == "__main__":
    main()
