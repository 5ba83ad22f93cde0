#!/usr/bin/env python3
"""Breaks things under load, on a seeded schedule, and judges: does every submission end in exactly one outcome?

The real worker on servers of the run's own, RabbitMQ, PostgreSQL and S3. Each row of the table breaks one thing so many
times, with queues and tables of its own, and then one checker (checker.py) holds what was submitted against what there is.
The exit code is 0 only if nothing was lost or doubled and each row kept what it claims. Figures: target/chaos/report.json.
"""

import argparse
import fcntl
import os
import pathlib
import random
import signal
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
FOLDER = ROOT / ".local" / "soak"
TARGET = ROOT / "target" / "chaos"
sys.path.insert(0, str(ROOT / "deploy" / "local"))

import clients  # noqa: E402
from process import Trouble  # noqa: E402

# The reference of tests/conformance, which pins the decoders in its wheel.
PICTURES = "pillow==13.0.0"
BASE_PORT = 22200

EXAMPLES = """\
examples:
  make chaos                                                the full form: about 50 minutes, 30 of them the soak
  make chaos CHAOS="--short"                                every cheap row with few trials, as `make test` has it
  make chaos CHAOS="--only worker-kill --seed 7"            one row again, with the same schedule
  make chaos CHAOS="--only broker-kill,database-kill"       two of them
  make chaos CHAOS="--only soak --minutes 120"              a longer soak
  python3 chaos/run.py --list                               the rows
"""


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="FAULT,…", help="these rows, in the order of the table")
    parser.add_argument("--seed", type=int, help="of the schedule (default: another one each time; it is printed)")
    parser.add_argument("--short", action="store_true", help="few trials, no soak")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long the soak lasts (default: %(default)s)")
    parser.add_argument("--assay", type=pathlib.Path, default=ROOT / "target" / "release" / "assay",
                        help="the binary (default: target/release/assay)")
    parser.add_argument("--out", type=pathlib.Path, default=TARGET / "report.json", help="where the figures go (default: target/chaos/report.json)")
    parser.add_argument("--base-port", type=int, default=os.environ.get("ASSAY_SOAK_BASE_PORT", str(BASE_PORT)),
                        help=f"the first of 80 ports for servers, proxies and workers (default: {BASE_PORT})")
    parser.add_argument("--list", action="store_true", help="print the rows and end")
    return parser


def perform(row, world, seed: int, short: bool, minutes: float):
    """One row, whatever happens in it."""
    from report import Result
    from rows import NotRun
    from scene import Scene

    trials = row.short or 1 if short else row.full
    result = Result(row.name, row.title, trials)
    began = time.monotonic()
    try:
        # The seed of a row does not depend on which others run.
        with Scene(world, row.name, f"{seed}/{row.name}", trials, short) as scene:
            scene.minutes = minutes
            result.broken, result.details, result.recovery_seconds = scene.broken, scene.details, scene.recovery_seconds
            try:
                row.act(scene)
            except NotRun as reason:
                result.not_run = str(reason)
            except Exception as error:
                scene.claim(False, f"the row ran to its end: {error!r}")
                world.say(traceback.format_exc())
            if not result.not_run:
                result.findings = scene.finish()
                result.trials = scene.done
    except Exception as error:
        result.broken.append(f"the row could be judged: {error!r}")
        world.say(traceback.format_exc())
    result.seconds = time.monotonic() - began
    return result


def only_one():
    """Two runs at once would break each other's servers. Holds for as long as what it gives is kept."""
    lock = open(FOLDER / "lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Trouble("another run is under way here") from None
    return lock


def main() -> int:
    parser = options()
    args = parser.parse_args()
    if sys.stdout.encoding.lower() != "utf-8":
        sys.stdout.reconfigure(encoding="utf-8")
    # Whoever ends us gets the same orderly end as Ctrl-C, also where a shell has us in the background.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"chaos {time.monotonic() - began:5.0f} s  {text}", flush=True)

    FOLDER.mkdir(parents=True, exist_ok=True)
    lock = only_one()
    sys.path.insert(0, str(clients.install(FOLDER, [*clients.PACKAGES, PICTURES])))
    import report
    from rows.all import ROWS
    from world import World

    if args.list:
        print("\n".join(f"{row.name:26}{row.title}" for row in ROWS))
        return 0
    wanted = args.only.split(",") if args.only else [row.name for row in ROWS if not args.short or row.short]
    unknown = set(wanted) - {row.name for row in ROWS}
    if unknown:
        parser.error(f"no row: {', '.join(sorted(unknown))}; see --list")
    if not args.assay.exists():
        raise Trouble(f"{args.assay} isn't there; build it first: make build")
    seed = args.seed if args.seed is not None else random.randrange(1_000_000)
    form = "short" if args.short else "full"
    say(f"seed {seed}, {form} form, {len(wanted)} rows")
    results = []
    with World(FOLDER, args.base_port, args.assay.resolve(), TARGET / "logs", say) as world:
        for row in ROWS:
            if row.name not in wanted:
                continue
            say(f"{row.name}: {row.title}")
            results.append(perform(row, world, seed, args.short, args.minutes))
            report.write(args.out, results, seed, form, time.monotonic() - began)
            say(report.one_line(results[-1]))
    print(report.table(results))
    troubles = report.complaints(results, seed, form)
    print(troubles or f"seed {seed}: as promised; figures in {os.path.relpath(args.out)}")
    lock.close()
    return 0 if all(result.good() for result in results) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Trouble, OSError) as error:
        sys.exit(f"chaos: {error}")
    except KeyboardInterrupt:
        print("chaos: stopped, and its servers and workers too", file=sys.stderr)
        sys.exit(130)
