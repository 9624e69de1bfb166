"""The rounds: every server in turn, each measured by what the load got done and what it cost."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence

from benchmarks.beside import LOADS, Load
from benchmarks.beside import measure as measure_beside
from benchmarks.cases import CASES, IDLE, IDLE_IRC, START, Case
from benchmarks.ground import Ground, Skipped
from benchmarks.process import Child, raise_files
from benchmarks.report import Table
from benchmarks.servers import SERVERS, STOCK, TCPD, Running, Server, with_defaults

#: Seconds in which a server that has lost its clients comes to rest.
_REST = 0.3

#: A latency is that of the server only as long as others leave both cores alone: if they took more
#: than this part of the time, it is measured again, so often at most, and the quietest one counts.
_DISTURBED = 0.02
_TRIES = 3

#: Idle connections: so many, or what the limit of files allows.
_IDLE = 10_000


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _turned(servers: Sequence[Running], round_: int) -> Sequence[Running]:
    """Each round begins with another, so that none has the best place always."""
    at = round_ % len(servers)
    return [*servers[at:], *servers[:at]]


@contextlib.contextmanager
def _load(ground: Ground, case: Case, server: Running, seconds: float) -> Iterator[Child]:
    libraries = ("ssl", "crypto") if case.program == "tls.c" else ()
    program = ground.build(case.program, *libraries)
    arguments = {**case.arguments, **server.server.load.get(case.name, {})}
    arguments |= {"port": server.port, "seconds": seconds}
    command = [program, *(f"{name}={value}" for name, value in arguments.items())]
    child = Child(command, ground.load_core, ground.directory, ground.variables, talking=True)
    try:
        yield child
    finally:
        child.end()


def _measure(ground: Ground, case: Case, server: Running, seconds: float) -> dict[str, float]:
    """One server in one round."""
    tries: list[dict[str, float]] = []
    while not tries or (
        "p99_ms" in tries[-1] and tries[-1]["disturbed"] > _DISTURBED and len(tries) < _TRIES
    ):
        tries.append(_measure_once(ground, case, server, seconds))
    return min(tries, key=lambda result: result["disturbed"])


def _measure_once(ground: Ground, case: Case, server: Running, seconds: float) -> dict[str, float]:
    with _load(ground, case, server, seconds) as load:
        if load.read_line() != b"ready\n":
            raise Skipped(f"the load ended: {load.said}")
        before = server.cpu()
        waited = server.waited() + load.waited()
        load.tell()
        line = load.read_line()
        cost = server.cpu() - before
        waited = server.waited() + load.waited() - waited
        if not line:
            raise Skipped(f"the load ended: {load.said}")
    result: dict[str, float] = json.loads(line)
    result["cpu"] = cost
    result["disturbed"] = waited / result["seconds"]
    operations = result["operations"]
    if not operations:
        raise Skipped("nothing got done")
    if case.arguments["case"] == "resumed" and result["resumed"] < operations * 0.9:
        raise Skipped("it resumes no session")
    return result


def measure_load(
    ground: Ground, case: Case, rounds: int, seconds: float, only: Sequence[str]
) -> Table:
    """Put a load on every server that can take it.

    :param rounds: how often.
    :param seconds: for how long each time.
    :param only: names of servers; empty for all.
    """
    table = Table(case.name, case.title, case.operation, case.unit)
    ground = ground.with_key(case.key)
    running: list[Running] = []
    try:
        for server in _chosen(only, case.kind):
            try:
                _check(server, case)
                running.append(Running(server, ground, case.kind))
            except Skipped as why:
                table.skipped[server.name] = str(why)
        for round_ in range(rounds):
            for each in _turned(running, round_):
                if each.name in table.skipped:
                    continue
                try:
                    result = _measure(ground, case, each, seconds)
                except Skipped as why:
                    table.skipped[each.name] = str(why)
                    continue
                table.add(each.name, round_, result)
                time.sleep(_REST)
            _say(f"{case.name}: round {round_ + 1} of {rounds}")
    finally:
        for each in running:
            each.end()
    table.order([server.name for server in SERVERS])
    return table


def measure_idle(ground: Ground, rounds: int, only: Sequence[str], irc: bool) -> Table:
    """How much memory an idle connection takes, after one message.

    :param irc: of registered IRC clients, in no room; otherwise of an echo.
    """
    count = min(_IDLE, raise_files() - 200)
    if irc:
        name, kind, load, unit = IDLE_IRC, "irc", "members", TCPD
        table = Table(name, f"{count:,} idle IRC clients", "client", unit)
    else:
        name, kind, load = IDLE, "echo", "idle"
        table = Table(name, f"{count:,} idle connections", "connection", STOCK)
    case = Case(name, "", kind, "load.c", {"case": load, "conns": count})
    few = Case(name, "", kind, "load.c", {"case": load, "conns": 100})
    for round_ in range(rounds):
        for server in _chosen(only, kind):
            if server.name in table.skipped:
                continue
            try:
                _check(server, case)
                used = _idle_once(ground, server, few, case)
            except Skipped as why:
                table.skipped[server.name] = str(why)
                continue
            table.add(server.name, round_, {"bytes": used / count})
        _say(f"{name}: round {round_ + 1} of {rounds}")
    return table


def _idle_once(ground: Ground, server: Server, few: Case, many: Case) -> int:
    running = Running(server, ground, many.kind)
    try:
        with _load(ground, few, running, 1) as load:
            if load.read_line() != b"ready\n":
                raise Skipped(f"the load ended: {load.said}")
        time.sleep(_REST)
        before = running.memory()
        with _load(ground, many, running, 1) as load:
            if load.read_line() != b"ready\n":
                raise Skipped(f"the load ended: {load.said}")
            time.sleep(_REST)
            return running.memory() - before
    finally:
        running.end()


def measure_wait(ground: Ground, load: Load, rounds: int) -> Table:
    """How long an echo waits beside a load, in CPU time of the server.

    :param rounds: how often; each time it is another server.
    """
    table = Table(load.name, load.title, "client", TCPD)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, ground.load_core)
    try:
        for round_ in range(rounds):
            ports: dict[str, int] = {}
            server = with_defaults(ports)
            running = Running(server, ground, "echo")
            try:
                result = measure_beside(load, ports, running.pid)
            finally:
                running.end()
            result |= {"operations": load.clients, "longest_ms": result["longest"] * 1e3}
            table.add(server.name, round_, result)
            _say(f"{load.name}: round {round_ + 1} of {rounds}")
    except (Skipped, OSError) as why:
        table.skipped["tcpd, default limits"] = str(why)
    finally:
        os.sched_setaffinity(0, before)
    return table


def measure_start(ground: Ground, rounds: int, only: Sequence[str]) -> Table:
    """How long it takes from the start of the process to the first connection."""
    table = Table(START, "start to first connection", "start", STOCK)
    for round_ in range(rounds):
        for server in _chosen(only, "echo"):
            if server.name in table.skipped:
                continue
            try:
                running = Running(server, ground, "echo")
            except Skipped as why:
                table.skipped[server.name] = str(why)
                continue
            try:
                result = {"seconds": running.started, "cpu": running.cpu(), "operations": 1.0}
                table.add(server.name, round_, result)
            finally:
                running.end()
        _say(f"{START}: round {round_ + 1} of {rounds}")
    return table


def measure(
    ground: Ground, names: Sequence[str], rounds: int, seconds: float, only: Sequence[str]
) -> Iterator[Table]:
    """Measure the named cases, one after the other."""
    for case in CASES:
        if case.name in names:
            yield measure_load(ground, case, rounds, seconds, only)
    for load in LOADS:
        if load.name in names and (not only or TCPD in only):
            yield measure_wait(ground, load, rounds)
    if IDLE in names:
        yield measure_idle(ground, rounds, only, irc=False)
    if IDLE_IRC in names:
        yield measure_idle(ground, rounds, only, irc=True)
    if START in names:
        yield measure_start(ground, rounds, only)


def _check(server: Server, case: Case) -> None:
    """:raise Skipped: if a server is not to be measured in a case."""
    if case.conns > server.most:
        raise Skipped(f"it is not given more than {server.most:,} connections")


def _chosen(only: Sequence[str], kind: str) -> Sequence[Server]:
    return [
        server for server in SERVERS if kind in server.kinds and (not only or server.name in only)
    ]
