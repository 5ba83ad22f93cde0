#!/usr/bin/env python3
"""Whether the documents say what there is: each `assay …` and `make …` in a ```sh block or within a line names a command
with flags that exist, each such block says who runs it, and each relative link in a Markdown file leads to a file, and to a heading
of it."""

import argparse
import functools
import itertools
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "roles"))

import blocks as runs  # noqa: E402

ENDS = {"|", "||", "&&", ";", "&", ">", ">>", "<", "2>"}


def markdown() -> list[pathlib.Path]:
    skipped = {".git", ".local", "target", "node_modules", "model", "models"}
    return sorted(path for path in ROOT.rglob("*.md") if not skipped & set(path.relative_to(ROOT).parts))


def commands(lines: list[str], first: int):
    """(number, words) of each command that begins with assay or make."""
    joined, start = "", first
    for number, line in enumerate(lines, first):
        joined, start = (joined + line.strip(), start) if joined else (line.strip(), number)
        if joined.endswith("\\"):
            joined = joined[:-1]
            continue
        lexer = shlex.shlex(joined.removeprefix("$ "), posix=True, punctuation_chars=True)
        lexer.whitespace_split, lexer.commenters = True, "#"
        joined = ""
        words: list[str] = []
        try:
            found = [*lexer, ";"]
        except ValueError:
            # No shell, or half of a quoted word: none of ours is written so.
            continue
        for word in found:
            if word not in ENDS:
                words.append(word)
                continue
            while words and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*=.*", words[0]):
                words = words[1:]
            if words and words[0] in ("assay", "make"):
                yield start, words
            words = []


def inline(path: pathlib.Path):
    """(number, words) of each command within a line; `assay dead list|show` is two of them."""
    inside = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        inside ^= line.lstrip().startswith("```")
        for code in [] if inside else re.findall(r"`((?:assay|make) [^`]+)`", line):
            words = code.replace("\\|", "|").partition(" && ")[0].split()
            for choice in itertools.product(*(word.split("|") for word in words)):
                yield number, [word for word in choice if word.strip("…")]


@functools.cache
def help_of(binary: pathlib.Path, *subcommands: str) -> str | None:
    """What `--help` prints; None where there is no such subcommand."""
    done = subprocess.run([binary, *subcommands, "--help"], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None


@functools.cache
def targets() -> frozenset[str]:
    return frozenset(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def subcommands(text: str) -> set[str]:
    section = text.partition("\nCommands:\n")[2].partition("\n\n")[0]
    return set(re.findall(r"^  ([a-z-]+)(?: |$)", section, re.MULTILINE))


def wrong_with(words: list[str], binary: pathlib.Path) -> str | None:
    if words[0] == "make":
        unknown = [word for word in words[1:] if re.fullmatch(r"[a-z][a-z-]*", word) and word not in targets()]
        return f"make has no target {unknown[0]}" if unknown else None
    path: list[str] = []
    text = help_of(binary)
    for word in words[1:]:
        if word == "--":
            # The rest is another command's.
            return None
        if word in subcommands(text) and not word.startswith("-"):
            path.append(word)
            text = help_of(binary, *path)
        elif word.startswith("-") and len(word) > 1:
            flag = word.partition("=")[0]
            if flag not in ("--version", "-V") and not re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", text):
                return f"`assay {' '.join(path)}` has no {flag}"
        elif subcommands(text):
            return f"assay has no command {' '.join([*path, word])}"
    return None


def anchors(path: pathlib.Path) -> set[str]:
    headings = re.findall(r"^#+ +(.+?) *$", re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)) for heading in headings]
    return {heading.strip().lower().replace(" ", "-") for heading in plain}


def links(path: pathlib.Path):
    """(number, target) of each link that isn't on the web."""
    inside = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        inside ^= line.lstrip().startswith("```")
        if inside:
            continue
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", line)):
            if not re.match(r"[a-z][a-z+.-]*:", target):
                yield number, target


def lost(path: pathlib.Path, target: str) -> str | None:
    name, _, anchor = target.partition("#")
    there = (path.parent / name).resolve() if name else path
    if not there.exists():
        return f"the link {target} leads nowhere"
    if anchor and there.suffix == ".md" and anchor not in anchors(there):
        return f"{target}: there is no such heading"
    return None


def unmarked(found: list[runs.Block]):
    """(number, what is wrong) of each shell block that nobody runs, without a word why."""
    for block in found:
        if block.mark is None:
            yield block.line, "nobody runs this block: say before it `<!-- run: ROLE -->`, `<!-- run by: FILE -->` or `<!-- not run: WHY -->`"
        elif block.mark[0] == "run" and not (ROOT / "tests" / "roles" / "run.py").read_text().count(f'"{block.mark[1]}":'):
            yield block.line, f"tests/roles has no role {block.mark[1]}"
        elif block.mark[0] == "run by" and not (ROOT / block.mark[1]).exists():
            yield block.line, f"there is no {block.mark[1]} to run it"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assay", type=pathlib.Path, default=ROOT / "target" / "release" / "assay", help="the binary")
    binary = parser.parse_args().assay.resolve()
    if help_of(binary) is None:
        sys.exit(f"docs-check: {binary} does not run; build it first: make build")
    complaints, counted = [], {"commands": 0, "links": 0}
    for path in markdown():
        name = path.relative_to(ROOT)
        found = runs.blocks(path)
        for block in found:
            for number, words in commands(block.text.splitlines(), block.line):
                counted["commands"] += 1
                if trouble := wrong_with(words, binary):
                    complaints.append(f"{name}:{number}: {trouble}")
        for number, words in inline(path):
            counted["commands"] += 1
            if trouble := wrong_with(words, binary):
                complaints.append(f"{name}:{number}: {trouble}")
        complaints += [f"{name}:{number}: {trouble}" for number, trouble in unmarked(found)]
        for number, target in links(path):
            counted["links"] += 1
            if trouble := lost(path, target):
                complaints.append(f"{name}:{number}: {trouble}")
    print("\n".join(complaints) or f"documents: {counted['commands']} commands and {counted['links']} links are as written")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
