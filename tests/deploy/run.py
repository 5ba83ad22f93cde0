#!/usr/bin/env python3
"""Checks what others run: the image, its Dockerfile and bill of materials, and the manifests of deploy/k8s.

The tools come from PyPI: kubectl (for Kustomize), the schemas of Kubernetes, KEDA and the Prometheus operator, hadolint.
"""

import argparse
import os
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assay", type=pathlib.Path, default=HERE.parents[1] / "target" / "release" / "assay", help="the binary, assay-decoder beside it")
    parser.add_argument("--only", default="test_*.py", metavar="PATTERN", help="files of tests (default: %(default)s)")
    options = parser.parse_args()
    os.environ["ASSAY_BINARY"] = str(options.assay.resolve())
    if not options.assay.exists():
        sys.exit(f"deploy-check: no {options.assay}; run `make build`")
    suite = unittest.defaultTestLoader.discover(str(HERE), pattern=options.only)
    sys.exit(not unittest.TextTestRunner(verbosity=1).run(suite).wasSuccessful())


if __name__ == "__main__":
    main()
