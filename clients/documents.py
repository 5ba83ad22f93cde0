#!/usr/bin/env python3
"""Writes the types of the documents for TypeScript and Python, from docs/schemas: clients/typescript/src/documents/ and
clients/python/documents/. `make schemas` runs it; `--check` says whether they are what the schemas make.

By json-schema-to-typescript (npm) and datamodel-code-generator (PyPI).
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
SCHEMAS = ROOT / "docs" / "schemas"
# What clients send and read; the manifest and the receipt of an erasure stay inside, the OpenAPI document has generators of its own.
DOCUMENTS = ["request", "verdict", "failure", "rejection", "label", "erased", "appeal", "appeal_decided", "decision"]
GENERATOR = ["datamodel-code-generator==0.89.0"]
WORDS = "Made of docs/schemas/{name}.json by clients/documents.py: change the type that the schema comes from."
sys.path.insert(0, str(ROOT / "deploy" / "local"))

import clients  # noqa: E402
from process import Trouble  # noqa: E402


def typescript(name: str) -> str:
    program = HERE / "typescript" / "node_modules" / "json-schema-to-typescript" / "dist" / "src" / "cli.js"
    banner = f"// {WORDS.format(name=name)}"
    return clients.run(["node", program, SCHEMAS / f"{name}.json", "--bannerComment", banner], f"types of {name}")


def python(name: str, tools: pathlib.Path) -> str:
    with tempfile.TemporaryDirectory() as folder:
        header, out = pathlib.Path(folder) / "header", pathlib.Path(folder) / "out.py"
        header.write_text(f'"""{WORDS.format(name=name)}"""\n')
        command = [sys.executable, "-W", "ignore", "-m", "datamodel_code_generator", "--input", SCHEMAS / f"{name}.json",
                   "--input-file-type", "jsonschema", "--output-model-type", "typing.TypedDict", "--target-python-version", "3.11",
                   "--use-standard-collections", "--use-union-operator", "--custom-file-header-path", header, "--formatters", "builtin",
                   "--output", out]
        clients.run(command, f"types of {name}", env=os.environ | {"PYTHONPATH": str(tools)})
        return out.read_text()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 if a file is not what its schema makes")
    options = parser.parse_args()
    clients.npm_ci(HERE / "typescript")
    (ROOT / ".local").mkdir(exist_ok=True)
    tools = clients.install(ROOT / ".local" / "documents", GENERATOR)
    stale = []
    for name in DOCUMENTS:
        for path, text in ((HERE / "typescript" / "src" / "documents" / f"{name}.ts", typescript(name)),
                           (HERE / "python" / "documents" / f"{name}.py", python(name, tools))):
            if options.check:
                if not path.exists() or path.read_text() != text:
                    stale.append(str(path.relative_to(ROOT)))
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    if stale:
        print(f"not what docs/schemas makes: {', '.join(stale)}; run `make schemas`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Trouble as trouble:
        sys.exit(f"documents: {trouble}")
