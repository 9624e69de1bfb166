"""``python -m benchmarks``: run it from the checkout, on an idle machine."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from benchmarks.cases import NAMES
from benchmarks.ground import Ground
from benchmarks.measure import measure
from benchmarks.process import raise_files
from benchmarks.servers import SERVERS

_MOST_ROUNDS = 50
_MOST_SECONDS = 60.0


def _machine() -> dict[str, str]:
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "twisted": metadata.version("twisted"),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures tcpd and its peers with the same load, in turns, on this machine.",
    )
    parser.add_argument(
        "--case", action="append", choices=NAMES, help="measure only this case; may be repeated"
    )
    parser.add_argument(
        "--server",
        action="append",
        choices=[server.name for server in SERVERS],
        help="measure only this server; may be repeated",
    )
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds")
    parser.add_argument("--seconds", type=float, default=2.0, help="duration of a measurement")
    parser.add_argument("--json", type=Path, help="write the results of all rounds to this file")
    found = parser.parse_args()
    if not 1 <= found.rounds <= _MOST_ROUNDS or not 0 < found.seconds <= _MOST_SECONDS:
        parser.error(f"at most {_MOST_ROUNDS} rounds of {_MOST_SECONDS:g} seconds")
    return found


def main() -> int:
    """:return: the exit status: 1 if a load failed."""
    arguments = _arguments()
    # SystemExit stops all children
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    raise_files()
    machine = _machine()
    sys.stdout.write(", ".join(f"{name} {value}" for name, value in machine.items()) + "\n")
    records = []
    failed = False
    with tempfile.TemporaryDirectory(prefix="tcpd-benchmarks-") as directory:
        ground = Ground(Path(directory))
        if ground.server_core == ground.load_core:
            sys.stdout.write("one core: load and server compete for it\n")
        names = arguments.case or NAMES
        for table in measure(
            ground, names, arguments.rounds, arguments.seconds, arguments.server or ()
        ):
            sys.stdout.write(f"\n{table.text()}\n")
            sys.stdout.flush()
            records.append(table.record())
            failed |= any("the load ended" in why for why in table.skipped.values())
            if arguments.json:
                record = {"machine": machine, "cases": records}
                arguments.json.write_text(json.dumps(record, indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
