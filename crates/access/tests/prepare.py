#!/usr/bin/env python3
"""What the tests of signing in need beside Rust: Node.js from Debian, and an OpenID Connect issuer (oidc-provider) from npm."""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "deploy" / "local"))

import clients  # noqa: E402
import packages  # noqa: E402
from process import Trouble  # noqa: E402

if __name__ == "__main__":
    try:
        packages.install(packages.missing_for_node())
        clients.npm_ci(HERE / "issuer")
    except Trouble as trouble:
        sys.exit(f"issuer: {trouble}")
