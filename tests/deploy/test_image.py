"""The image: its root filesystem run as a container would, the Dockerfile, what the build is sent, the bill of materials."""

import fnmatch
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

from workplace import ROOT, TOOLS, assay

import image_root
import inside
import sbom

DOCKER = ROOT / "deploy" / "docker"
TARGET = ROOT / "target" / "image-root"
BINARIES = pathlib.Path(os.environ.get("ASSAY_BINARY", ROOT / "target" / "release" / "assay")).parent


def setUpModule():
    subprocess.run([sys.executable, DOCKER / "image_root.py", "--binaries", BINARIES, "--into", TARGET], check=True)


def command(*words: str, root: pathlib.Path = TARGET, share: str = "") -> list:
    shares = [f"--share={share}=/tmp/work"] if share else []
    return [sys.executable, DOCKER / "inside.py", root, *shares, "--", *words]


def run(*words: str, environment: dict[str, str] | None = None, **options) -> subprocess.CompletedProcess:
    environment = os.environ | (environment or {})
    return subprocess.run(command(*words, **options), env=environment, capture_output=True, text=True, timeout=120, cwd="/")


def picture() -> bytes:
    """A PNG of 300×200 with a pattern."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes((x * y + x + channel) % 256 for x in range(300) for channel in range(3)) for y in range(200))
    header = struct.pack(">IIBBBBB", 300, 200, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class RootFilesystem(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        done = run("assay", "--version")
        if done.returncode == inside.NOT_PERMITTED:
            raise unittest.SkipTest(f"this machine permits no mounts, not even in a user namespace: {done.stderr.strip()}")

    def test_the_binary_starts(self):
        self.assertEqual(run("assay", "--version").stdout, assay("--version").stdout)

    def test_decoders_work_with_all_their_protections(self):
        done = run("assay", "doctor", "--json")
        self.assertEqual(done.returncode, 3, done.stderr)
        found = {check["subject"]: check for check in json.loads(done.stdout)["checks"]}
        here = json.loads(assay("doctor", "--json").stdout)["checks"]
        outside = next(check["detail"] for check in here if check["subject"] == "decoder")
        self.assertTrue(found["decoder"]["ok"])
        # As many acts are refused as outside of the container, by the same means.
        means = re.compile(r"(no )?seccomp|(no )?Landlock( \d+)?|refused \d+ of \d+")
        self.assertEqual(*([word[0] for word in means.finditer(text)] for text in (found["decoder"]["detail"], outside)))
        self.assertIn("unreachable", found["broker"]["detail"])

    def test_an_image_is_judged_by_an_untrained_model(self):
        with tempfile.TemporaryDirectory() as folder:
            work = pathlib.Path(folder)
            work.chmod(0o755)
            (work / "generated.png").write_bytes(picture())
            made = assay("model", "init", "--arch", "resnet50-nodown", "--out", str(work / "model"))
            self.assertEqual(made.returncode, 0, made.stderr)
            done = run("assay", "scan", "--json", "--model", "/tmp/work/model", "/tmp/work/generated.png", share=folder)
            self.assertEqual(done.returncode, 0, done.stderr)
            verdict = json.loads(done.stdout)
            self.assertEqual((verdict["schema"], verdict["image"]["width"]), ("assay.verdict.v1", 300))

    def test_names_are_resolved(self):
        # The libraries for it are loaded when the first name is asked for.
        addresses = {"ASSAY__BROKER__URL": "amqps://user:word@localhost:1/", "ASSAY__DATABASE__URL": "postgres://user:word@no-such-host.invalid/assay"}
        done = run("assay", "doctor", "--json", environment=addresses)
        found = {check["subject"]: check["detail"] for check in json.loads(done.stdout)["checks"]}
        self.assertIn("Network is unreachable", found["broker"])
        self.assertIn("lookup", found["database"])

    def test_nothing_can_be_written_but_tmp(self):
        for folder in ("/", "/etc", "/usr/bin", "/model"):
            done = run("assay", "model", "init", "--out", f"{folder}/new")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("Read-only file system", done.stderr)
        self.assertEqual(run("assay", "model", "init", "--out", "/tmp/new").returncode, 0)

    def test_it_runs_as_nobody_with_no_rights(self):
        # Any command that lives for as long as it takes to be looked at.
        process = subprocess.Popen(command("assay", "model", "init", "--out", "/tmp/new"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
        status, deadline = {}, time.monotonic() + 30
        while status.get("Name") != "assay" and time.monotonic() < deadline and process.poll() is None:
            lines = pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines()
            status = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
        process.wait()
        self.assertEqual(status["Name"], "assay")
        if os.geteuid() == 0:
            self.assertEqual(status["Uid"].split(), [str(image_root.USER)] * 4)
        for rights in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertEqual(int(status[rights], 16), 0, rights)
        self.assertEqual(status["NoNewPrivs"], "1")

    def test_there_is_no_other_program_and_no_file_too_many(self):
        files = [path.relative_to(TARGET) for path in TARGET.rglob("*") if path.is_file() and not path.is_symlink()]
        programs = sorted(str(path) for path in files if "bin" in path.parts)
        self.assertEqual(programs, ["usr/bin/assay", "usr/bin/assay-decoder", "usr/bin/assay-decoder-heif"])
        kinds = re.compile(r"usr/bin/|usr/lib(64)?/.*\.so(\.\d+)*$|usr/share/doc/assay/|etc/")
        self.assertEqual([path for path in files if not kinds.match(str(path))], [])
        self.assertFalse([path for path in files if (TARGET / path).stat().st_mode & 0o6000], "set-uid")

    def test_without_any_one_of_its_libraries_it_would_not_start(self):
        for library in sorted((TARGET / "usr" / "lib" / "assay").iterdir()):
            with self.subTest(library=library.name), tempfile.TemporaryDirectory(dir=TARGET.parent) as folder:
                root = pathlib.Path(folder) / "root"
                shutil.copytree(TARGET, root, symlinks=True, copy_function=os.link)
                (root / library.relative_to(TARGET)).unlink()
                done = run("assay", "--version", root=root)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(library.name, done.stderr)


class Dockerfile(unittest.TestCase):
    TEXT = (DOCKER / "Dockerfile").read_text()

    def test_the_linter_finds_nothing(self):
        done = subprocess.run([TOOLS / "bin" / "hadolint", "--failure-threshold", "style", DOCKER / "Dockerfile"], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_the_image_is_what_the_script_builds(self):
        build, final = self.TEXT.split("FROM scratch")
        self.assertIn("deploy/docker/image_root.py", build)
        self.assertEqual(re.findall(r"^(?:COPY|ADD) .*$", final, re.MULTILINE), ["COPY --from=build /image /"])
        self.assertNotIn("\nRUN", final)

    def test_it_runs_as_the_user_whom_the_root_filesystem_knows(self):
        user = re.search(r"^USER (\d+):(\d+)$", self.TEXT, re.MULTILINE)
        self.assertEqual(set(user.groups()), {str(image_root.USER)})
        self.assertIn(f":x:{image_root.USER}:{image_root.USER}:", (TARGET / "etc" / "passwd").read_text())

    def test_it_exposes_the_admin_port_of_its_configuration(self):
        config = re.search(r"ASSAY_CONFIG=(\S+)", self.TEXT)[1]
        port = re.search(r"^EXPOSE (\d+)$", self.TEXT, re.MULTILINE)[1]
        self.assertIn(f'listen = "0.0.0.0:{port}"', (TARGET / config.lstrip("/")).read_text())

    def test_the_toolchain_is_the_repositorys(self):
        channel = re.search(r'channel = "(.*)"', (ROOT / "rust-toolchain.toml").read_text())[1]
        self.assertIn(f"ARG RUST={channel}\n", self.TEXT)


class BuildContext(unittest.TestCase):
    def sent(self, path: str) -> bool:
        """Whether the builder sends a file: the last line of .dockerignore that covers it decides."""
        decision = True
        for line in (ROOT / ".dockerignore").read_text().splitlines():
            pattern = line.removeprefix("!").removeprefix("**/")
            parts = path.split("/")
            prefixes = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)] + (parts if "**/" in line else [])
            if line and not line.startswith("#") and any(fnmatch.fnmatchcase(prefix, pattern) for prefix in prefixes):
                decision = line.startswith("!")
        return decision

    def read_by_the_compiler(self) -> set[str]:
        """From what rustc noted beside its outputs: cargo's own note, beside the program, is not written by `cargo test`."""
        deps = BINARIES / "deps"
        packages = ["assay", *(path.name for path in (ROOT / "crates").iterdir())]
        # What the program does not use has no library of its own.
        packages = [package for package in packages if any(deps.glob(f"lib{package}-*.rlib"))]
        libraries = [max(deps.glob(f"lib{package}-*.rlib"), key=lambda path: path.stat().st_mtime) for package in packages]
        notes = [deps / f"{library.stem.removeprefix('lib')}.d" for library in libraries]
        for name in image_root.BINARIES:
            # The program is a link to the output with the hash in its name.
            outputs = [path for path in deps.glob(f"{name.replace('-', '_')}-*") if not path.suffix]
            notes.append(next(path for path in outputs if path.samefile(BINARIES / name)).with_suffix(".d"))
        read = set()
        for note in notes:
            for path in note.read_text().partition("\n")[0].partition(": ")[2].split():
                path = pathlib.Path(os.path.normpath(ROOT / path))
                if path.is_relative_to(ROOT) and not path.is_relative_to(ROOT / "target"):
                    read.add(str(path.relative_to(ROOT)))
        # CI compiles by clippy's driver, the image's builder doesn't.
        return read - {"clippy.toml"}

    def test_every_file_that_the_compiler_reads_is_sent(self):
        read = self.read_by_the_compiler() | {str(path.relative_to(ROOT)) for path in [ROOT / "build.rs", *ROOT.glob("crates/*/build.rs"), *ROOT.glob("crates/*/src/*.cpp"), *ROOT.glob("crates/*/src/*.h")]}
        for one in ("src/main.rs", "src/lib.rs", "crates/decoder/src/bin/assay-decoder/main.rs", "crates/engine/src/fused.cpp", "configs/default.toml", "migrations/0001_outcomes.sql"):
            self.assertIn(one, read)
        self.assertGreater(len(read), 50)
        targets = set(re.findall(r'^path = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE))
        manifests = {str(path.relative_to(ROOT)) for path in ROOT.glob("crates/*/Cargo.toml")}
        others = manifests | {"Cargo.toml", "Cargo.lock", "Makefile", "LICENSE", ".cargo/config.toml", "rust-toolchain.toml", "configs/production.toml"}
        scripts = {str(path.relative_to(ROOT)) for folder in ("deploy/docker", "deploy/local") for path in (ROOT / folder).glob("*.py")}
        self.assertEqual([path for path in sorted(read | targets | others | scripts) if not self.sent(path)], [])

    def test_nothing_is_sent_that_was_built_fetched_or_stored(self):
        for path in ("target/release/assay", ".local/env", ".git/config", "deploy/k8s/README.md", "src/__pycache__/a.pyc", "docs/operators.md"):
            self.assertFalse(self.sent(path), path)


class BillOfMaterials(unittest.TestCase):
    def test_it_names_what_the_image_is_made_of(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "sbom.cdx.json"
            sbom.write(TARGET, out)
            document = json.loads(out.read_text())
        names = {component["name"] for component in document["components"]}
        self.assertTrue({"tch", "lapin", "turbojpeg-sys", "torch", "nvidia-cuda-cupti", "libc6", "libstdc++6", "ca-certificates"} <= names)
        # What is only built or tested with is not in the image.
        self.assertFalse({"cc", "proptest", "crc32fast-tests", "serde_derive"} & names)
        self.assertEqual(document["metadata"]["component"]["name"], "assay")
        for component in document["components"]:
            if component["purl"].startswith("pkg:cargo/"):
                self.assertTrue(component.get("licenses"), component["name"])


if __name__ == "__main__":
    unittest.main()
