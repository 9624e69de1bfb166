"""Rounds: in each round every server is measured, by operations and their cost."""

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
from benchmarks.pages import PAGE_LOADS, PageLoad, measure_pages
from benchmarks.process import Child, raise_files
from benchmarks.report import Table
from benchmarks.servers import SERVERS, STOCK, TCPD, Running, Server, with_defaults

#: Seconds after a load until a server is idle.
_REST = 0.3

#: If other processes had the cores for more than this share of the time, a latency is measured
#: again, up to _TRIES times; the measurement with the smallest share counts.
_DISTURBED = 0.02
_TRIES = 3

#: Number of idle connections, if the limit of open files allows it.
_IDLE = 10_000


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _turned(servers: Sequence[Running], round_: int) -> Sequence[Running]:
    """Rotate the servers by round, so that none is always the first."""
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
    """Measure one server in one round."""
    tries: list[dict[str, float]] = []
    while not tries or (
        "p99_ms" in tries[-1] and tries[-1]["disturbed"] > _DISTURBED and len(tries) < _TRIES
    ):
        tries.append(_measure_once(ground, case, server, seconds))
        time.sleep(_REST)
    return min(tries, key=lambda result: result["disturbed"])


def _measure_once(ground: Ground, case: Case, server: Running, seconds: float) -> dict[str, float]:
    with _load(ground, case, server, seconds) as load:
        if load.read_line() != b"ready\n":
            raise Skipped(f"the load ended: {load.output}")
        before = server.cpu()
        waited = server.waited() + load.waited()
        load.send_line()
        line = load.read_line()
        cost = server.cpu() - before
        waited = server.waited() + load.waited() - waited
        if not line:
            raise Skipped(f"the load ended: {load.output}")
    result: dict[str, float] = json.loads(line)
    result["cpu"] = cost
    result["disturbed"] = waited / result["seconds"]
    operations = result["operations"]
    if not operations:
        raise Skipped("no operation was completed")
    if case.arguments["case"] == "resumed" and result["resumed"] < operations * 0.9:
        raise Skipped("it resumes no session")
    return result


def measure_load(
    ground: Ground, case: Case, rounds: int, seconds: float, only: Sequence[str]
) -> Table:
    """Measure a load on each server that supports it.

    :param rounds: number of rounds.
    :param seconds: duration of each measurement.
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
            _say(f"{case.name}: round {round_ + 1} of {rounds}")
    finally:
        for each in running:
            each.end()
    table.order([server.name for server in SERVERS])
    return table


def measure_idle(ground: Ground, rounds: int, only: Sequence[str], irc: bool) -> Table:
    """Measure the memory of an idle connection, after one message.

    :param irc: measure registered IRC clients in no room; otherwise clients of echo.
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
                raise Skipped(f"the load ended: {load.output}")
        time.sleep(_REST)
        before = running.memory()
        with _load(ground, many, running, 1) as load:
            if load.read_line() != b"ready\n":
                raise Skipped(f"the load ended: {load.output}")
            time.sleep(_REST)
            return running.memory() - before
    finally:
        running.end()


def measure_wait(ground: Ground, load: Load, rounds: int) -> Table:
    """Measure the latency of an echo beside a load, in CPU time of the server.

    :param rounds: number of rounds, each with a new server.
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


def measure_page(ground: Ground, load: PageLoad, rounds: int, seconds: float) -> Table:
    """Measure a load of ``protocol = web``, with a new server in each round."""
    table = Table(load.name, load.title, load.operation, TCPD)
    server = next(server for server in SERVERS if server.name == TCPD)
    for round_ in range(rounds):
        try:
            running = Running(server, ground, load.kind)
            try:
                table.add(TCPD, round_, measure_pages(ground, load, running, seconds))
            finally:
                running.end()
        except Skipped as why:
            table.skipped[TCPD] = str(why)
            break
        _say(f"{load.name}: round {round_ + 1} of {rounds}")
    return table


def measure_start(ground: Ground, rounds: int, only: Sequence[str]) -> Table:
    """Measure the time from the start of the process to the first connection."""
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
    """Measure the named cases in sequence."""
    for case in CASES:
        if case.name in names:
            yield measure_load(ground, case, rounds, seconds, only)
    for load in LOADS:
        if load.name in names and (not only or TCPD in only):
            yield measure_wait(ground, load, rounds)
    for page in PAGE_LOADS:
        if page.name in names and (not only or TCPD in only):
            yield measure_page(ground, page, rounds, seconds)
    if IDLE in names:
        yield measure_idle(ground, rounds, only, irc=False)
    if IDLE_IRC in names:
        yield measure_idle(ground, rounds, only, irc=True)
    if START in names:
        yield measure_start(ground, rounds, only)


def _check(server: Server, case: Case) -> None:
    """:raise Skipped: if a case has too many connections for a server."""
    if case.conns > server.most:
        raise Skipped(f"limited to {server.most:,} connections")


def _chosen(only: Sequence[str], kind: str) -> Sequence[Server]:
    return [
        server for server in SERVERS if kind in server.kinds and (not only or server.name in only)
    ]
