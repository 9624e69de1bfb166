"""No load within the default limits makes others wait: an echo beside each of them.

The wait is the CPU time that the daemon takes until it answers the echo, and no wall-clock time.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import certificates
import pytest
from running import Daemon

from benchmarks.beside import LOADS, Load, config, measure
from benchmarks.process import cores, raise_files

pytestmark = [
    pytest.mark.live,
    pytest.mark.long,
    pytest.mark.serial,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux"),
]

#: Seconds: "nobody waits more than 50 ms".
BOUND = 0.05

#: Seconds: 5,000 echo requests in one instant take nearly 50 ms of work, and are served in order.
_ALL_ASK = 0.1

#: Bytes: "5,000 WHO * together keep memory under 100 MB above idle".
MEMORY = 100e6


@pytest.fixture
def far() -> Iterator[Path]:
    """Return a directory for a UNIX socket, whose path has at most 107 bytes (unix(7))."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory) / "far"


#: Clients of the loads in one room: 5,000 joins take a minute. The benchmarks have 5,000.
_IN_A_ROOM = 1500


def _sized(load: Load) -> Load:
    joins = load.name in ("wait-irc-leave", "wait-irc-quit", "wait-irc-rename")
    return replace(load, clients=_IN_A_ROOM) if joins else load


@pytest.mark.parametrize(
    "load", [_sized(load) for load in LOADS], ids=[load.name for load in LOADS]
)
def test_an_echo_beside_a_load(
    start: Callable[[str], Daemon], load: Load, far: Path, localhost: certificates.Made
) -> None:
    """ "No load within the default limits stalls anybody by more than 50 ms". What other processes
    do to the prober only makes the wait longer, so the shortest of three counts."""
    raise_files()
    text = config(lambda _: 0, localhost.certificate_file, localhost.key_file, far)
    daemon = start(f"[tcpd]\nserver_name = test.example\ndrain = 1s\n{text}")
    ports = {service: port for (service, _), port in daemon.ports.items()}
    core, other = cores()
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(daemon.process.pid, core)
    os.sched_setaffinity(0, other)
    try:
        found: list[float] = []
        bound = _ALL_ASK if load.name == "wait-ask" else BOUND
        while len(found) < 3 and (not found or found[-1] > bound):
            result = measure(load, ports, daemon.process.pid)
            assert result["count"] > 1, "the load was over before anything was measured"
            assert result["more"] < MEMORY or not load.name.startswith("wait-irc-who")
            found.append(result["longest"])
    finally:
        os.sched_setaffinity(0, before)
    assert min(found) < bound, found
