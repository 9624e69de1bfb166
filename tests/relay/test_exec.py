"""``protocol = exec`` with real programs and the real connection layer."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from relay.execing import USER, ExecHarness, children, descriptors, readable
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from tcpd.net.turns import work_queue
from tcpd.policy.reasons import End
from tcpd.relay.exec_settings import ExecSettings
from tcpd.relay.peer_monitor import poll_events

pytest.importorskip("tcpd.net.reactor", reason="the reactor that is turned by hand needs epoll")

Start = Callable[..., ExecHarness]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start services; they are stopped after the test."""
    from tcpd.net.reactor import TcpdReactor

    houses: list[ExecHarness] = []

    def start(command: str, **keys: Any) -> ExecHarness:
        houses.append(ExecHarness(TcpdReactor(), command, **keys))
        return houses[-1]

    yield start
    for harness in houses:
        harness.close()


def test_input_and_output_are_relayed(start: Start) -> None:
    """The client's half-close (``nc -N``) closes the program's input."""
    harness = start("/bin/cat")
    client = harness.connect()
    client.sendall(b"hello")
    harness.until(lambda: readable(client))
    assert client.recv(100) == b"hello"
    client.shutdown(socket.SHUT_WR)
    assert harness.all_of(client) == b""
    harness.until(harness.over)
    assert harness.words == {"program-started": 1, "program-ended": 1}


def test_all_output_is_delivered_after_the_program_exited(start: Start) -> None:
    """The program exits long before the client reads."""
    harness = start("/bin/sh -c 'head -c 100000 /dev/zero; exit 0'")
    client = harness.connect()
    harness.until(lambda: harness.words.get("program-ended"))
    assert harness.all_of(client) == bytes(100000)


def test_a_client_that_does_not_read_blocks_the_program(start: Start) -> None:
    """Only socket buffers hold data, however much the program writes."""
    harness = start("/bin/cat /dev/zero")
    client = harness.connect()
    (connection,) = harness.layer.connections
    last = -1
    while last != connection.bytes_out:
        last = connection.bytes_out
        for _ in range(10):
            harness.turn()
    assert 0 < last < 4 << 20
    client.close()
    harness.until(harness.over)
    assert harness.context.counters.ended[End.SLOW_READER] == 0


def test_a_program_that_does_not_read_blocks_the_client(start: Start) -> None:
    harness = start("/bin/sh -c 'sleep 1000'")
    client = harness.connect()
    (connection,) = harness.layer.connections
    sent = 0
    for _ in range(100):
        try:
            sent += client.send(bytes(1 << 16))
        except BlockingIOError:
            harness.turn()
    before = connection.bytes_in
    for _ in range(10):
        harness.turn()
    assert connection.bytes_in == before < 4 << 20
    client.close()


def test_8_mb_are_relayed_both_ways(start: Start) -> None:
    """Both socket buffers fill up many times."""
    harness = start("/bin/cat")
    client = harness.connect()
    data = os.urandom(1 << 20) * 8
    sent = 0
    received = bytearray()
    while len(received) < len(data):
        if sent < len(data):
            with contextlib.suppress(BlockingIOError):
                sent += client.send(data[sent : sent + (1 << 18)])
        harness.turn()
        with contextlib.suppress(BlockingIOError):
            received += client.recv(1 << 18)
    assert received == data
    client.shutdown(socket.SHUT_WR)
    assert harness.all_of(client) == b""


def test_input_is_discarded_after_the_program_closed_it(start: Start) -> None:
    """The client still gets the output."""
    harness = start("/bin/sh -c 'exec 0<&-; head -c 3 /dev/zero | tr \"\\0\" x'")
    client = harness.connect()
    client.sendall(bytes(50000))
    assert harness.all_of(client) == b"xxx"


def test_200_programs_leave_no_zombie_and_no_descriptor(start: Start) -> None:
    """All processes are reaped, and all descriptors are closed."""
    harness = start("/bin/true")
    harness.all_of(harness.connect())
    harness.until(harness.over)
    before, alive = descriptors(), children()
    for _ in range(200):
        harness.all_of(harness.connect())
        harness.until(harness.over)
    assert (descriptors(), children()) == (before, alive)
    assert harness.words == {"program-started": 201, "program-ended": 201}


def test_programs_are_started_a_few_a_turn(start: Start) -> None:
    """A fork blocks the reactor: other connections are served in between."""
    harness = start("/bin/true")
    harness.context.work = work_queue(harness.reactor, 1e-9)
    clients = [harness.connect() for _ in range(20)]
    leaving = clients.pop()
    started = [harness.words["program-started"]]
    leaving.close()
    while started[-1] < len(clients):
        harness.turn()
        started.append(harness.words["program-started"])
    # at most one from the queue, and one of a client that has nothing queued
    assert started[0] <= 2
    assert all(after - before <= 2 for before, after in pairwise(started))
    assert [harness.all_of(client) for client in clients] == [b""] * len(clients)


def test_programs_inherit_no_descriptor(start: Start) -> None:
    """Only standard input, output and error, and what `ls` opens itself."""
    with socket.socket() as inheritable:
        inheritable.set_inheritable(True)
        harness = start("/bin/ls -l /proc/self/fd")
        listed = harness.all_of(harness.connect()).decode().splitlines()[1:]
    links = [line.split(" ", 8)[-1].split() for line in listed]
    found = {words[-3]: words[-1] for words in links}
    assert sorted(found) == ["0", "1", "2", "3"]
    assert found["0"] == found["1"]
    assert found["0"].startswith("socket:")
    assert found["2"].startswith("pipe:")
    assert found["3"].startswith("/proc/")


def test_the_environment_is_clean(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """ "nothing of the daemon's own is inherited but PATH/LANG/TZ" """
    monkeypatch.setenv("SECRET", "1")
    monkeypatch.setenv("TZ", "Europe/Prague")
    harness = start("/usr/bin/env", environment=(("X", "a b"),))
    lines = harness.all_of(harness.connect()).decode().splitlines()
    found = dict(line.partition("=")[::2] for line in lines)
    assert found.pop("PATH") == os.environ["PATH"]
    found.pop("LANG", None)
    # the peer of this test's socket pair is this process
    assert found == {
        "TZ": "Europe/Prague",
        "X": "a b",
        "PROTO": "UNIX",
        "UNIXREMOTEPID": str(os.getpid()),
        "UNIXREMOTEEUID": str(os.geteuid()),
        "UNIXREMOTEEGID": str(os.getegid()),
        "TCPD_SERVICE": "program",
        "TCPD_CONNECTION": "1",
    }


def test_the_program_gets_sigterm_when_the_client_is_lost(start: Start) -> None:
    harness = start("/bin/sleep 1000")
    harness.lose(harness.connect())
    harness.until(harness.over)
    assert harness.words == {"program-started": 1, "program-stopped": 1}
    assert [each["status"] for each in harness.logged("exec.ended")] == ["SIGTERM"]


#: Programs that never write, and so do not notice a lost client.
_QUIET = [
    pytest.param("/bin/sleep 1000", id="sleeps"),
    pytest.param("/bin/sh -c 'while :; do echo x >&2; sleep 0.05; done'", id="writes errors"),
]


@pytest.mark.parametrize("command", _QUIET)
def test_a_program_that_is_silent_ends_when_its_client_has_closed(
    start: Start, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """ "outlives its client by at most a minute": keepalive probes (RFC 1122 section
    4.2.3.6) find a client whose kernel has forgotten the connection (TCP_LINGER2 in tcp(7))."""
    monkeypatch.setattr("tcpd.relay.peer_monitor.CHECK", 0.01)
    probes = (("TCP_KEEPIDLE", 1), ("TCP_KEEPINTVL", 1), ("TCP_KEEPCNT", 5))
    monkeypatch.setattr("tcpd.relay.peer_monitor._PROBES", probes)
    harness = start(command)
    with socket.create_server(("127.0.0.1", 0)) as port:
        client = socket.create_connection(port.getsockname())
        harness.accept(port.accept()[0])
    harness.until(lambda: harness.factory.programs)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2, 1)  # seconds in FIN-WAIT-2
    client.close()
    harness.until(harness.over)
    assert harness.words["program-stopped"] == 1
    assert harness.context.counters.ended == {End.LOST: 1}


@pytest.mark.parametrize("command", _QUIET)
def test_a_client_that_closed_a_unix_socket_has_one_minute(
    start: Start, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """ "A client that closed a UNIX socket also has one minute": 12 checks, one in 5 s."""
    monkeypatch.setattr("tcpd.relay.peer_monitor.CHECK", 0.01)
    checks: list[int] = []
    monkeypatch.setattr(
        "tcpd.relay.peer_monitor.poll_events", lambda sock: checks.append(1) or poll_events(sock)
    )
    harness = start(command)
    harness.connect().close()
    harness.until(harness.over)
    assert harness.words["program-stopped"] == 1
    assert harness.context.counters.ended == {End.LOST: 1}
    assert len(checks) * 5 == 60


def test_a_half_closed_client_still_gets_its_output(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """ "the rest of the output is still delivered" """
    monkeypatch.setattr("tcpd.relay.peer_monitor.CHECK", 0.01)
    checks: list[int] = []
    monkeypatch.setattr(
        "tcpd.relay.peer_monitor.poll_events", lambda sock: checks.append(1) or poll_events(sock)
    )
    go = tmp_path / "go"
    harness = start(
        f"/bin/sh -c 'cat >/dev/null; until test -e {go}; do sleep 0.01; done; echo yes'"
    )
    client = harness.connect()
    client.shutdown(socket.SHUT_WR)
    harness.until(lambda: len(checks) > 20)
    go.touch()
    assert harness.all_of(client) == b"yes\n"


def test_the_process_group_gets_sigterm(start: Start) -> None:
    """The program leads its own process group, which has a shell's children too."""
    harness = start("/bin/sh -c 'sleep 1000 & echo $!; sleep 1000'")
    client = harness.connect()
    harness.until(lambda: readable(client))
    child = int(client.recv(100))
    harness.lose(client)
    harness.until(harness.over)
    harness.until(lambda: not _alive(child))


def test_a_program_that_ignores_sigterm_is_killed(start: Start) -> None:
    """ "SIGKILL after `stop`" """
    harness = start("/bin/sh -c 'trap \"\" TERM; echo; while :; do sleep 1000; done'", stop=0.05)
    client = harness.connect()
    harness.until(lambda: readable(client))
    harness.lose(client)
    harness.until(harness.over)
    assert harness.words == {"program-started": 1, "program-killed": 1}
    assert [each["status"] for each in harness.logged("exec.ended")] == ["SIGKILL"]


def test_the_rest_of_the_process_group_is_terminated_after_the_exit(start: Start) -> None:
    """The connection is closed when the program exits."""
    command = "/bin/sh -c '(trap \"\" TERM; sleep 1000) & echo $!; exit 0'"
    harness = start(command, stop=0.05)
    client = harness.connect()
    child = int(harness.all_of(client))
    harness.until(harness.over)
    harness.until(lambda: not _alive(child))


def test_failed_programs_are_logged_and_counted(start: Start) -> None:
    harness = start("/bin/sh -c 'read how; test $how = status && exit 3; kill -SEGV $$'")
    for how in (b"status\n", b"signal\n"):
        client = harness.connect()
        client.sendall(how)
        harness.all_of(client)
        harness.until(harness.over)
    assert harness.words == {"program-started": 2, "program-failed": 1, "program-died": 1}
    logged = [(each["word"], each["status"]) for each in harness.logged("exec.ended-badly")]
    assert logged == [("failed", "status 3"), ("died", "SIGSEGV")]


def test_standard_error_is_logged_line_by_line(start: Start) -> None:
    """ "escaped, line by line" """
    harness = start("/bin/sh -c 'printf \"one\\n\\033[31mtwo\\nthree\" >&2'")
    harness.all_of(harness.connect())
    harness.until(harness.over)
    lines = [each["line"] for each in harness.logged("exec.stderr")]
    assert lines == ["one", "\\x1b[31mtwo", "three"]


def test_logged_lines_of_standard_error_are_rate_limited(start: Start) -> None:
    """ "bounded rate": a burst of 50; the rest is counted."""
    harness = start("/bin/sh -c 'seq 100000 >&2'")
    harness.all_of(harness.connect())
    harness.until(harness.over)
    logged = len(harness.logged("exec.stderr"))
    assert 50 <= logged < 500
    assert harness.words["program-stderr-lost"] == 100000 - logged


@pytest.mark.parametrize(("where", "gets"), [("client", b"oops\n"), ("none", b"")])
def test_standard_error_goes_to_client_or_nowhere(start: Start, where: str, gets: bytes) -> None:
    harness = start("/bin/sh -c 'echo oops >&2'", stderr=where)
    assert harness.all_of(harness.connect()) == gets
    harness.until(harness.over)
    assert not harness.logged("exec.stderr")


def test_a_failed_start_is_logged_and_resets_the_client(
    start: Start, tmp_path: Path, logged_failures: Any
) -> None:
    """The program was removed after startup. The next client is served if it is back."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho hi\n")
    program.chmod(0o755)
    harness = start(str(program))
    assert harness.all_of(harness.connect()) == b"hi\n"
    harness.until(harness.over)
    before = descriptors()
    program.rename(tmp_path / "elsewhere")
    assert harness.all_of(harness.connect()) == b""
    assert harness.all_of(harness.connect()) == b""
    harness.until(harness.over)
    assert descriptors() == before
    (logged,) = harness.logged("exec.failed")
    assert (logged["error"], logged["command"]) == ("No such file or directory", str(program))
    assert harness.words["program-start-failed"] == 2
    logged_failures.expect("could not be started")
    (tmp_path / "elsewhere").rename(program)
    assert harness.all_of(harness.connect()) == b"hi\n"


@pytest.mark.parametrize("name", ["socketpair", "pipe2", "pidfd_open"])
def test_a_failed_start_leaks_nothing(
    start: Start, monkeypatch: pytest.MonkeyPatch, logged_failures: Any, name: str
) -> None:
    """EMFILE at each step: counted, no descriptor open, no process running."""
    harness = start("/bin/cat")
    harness.turn()

    def fail(*args: Any, **named: Any) -> Any:
        raise OSError(24, "Too many open files")

    client = LateClient(harness)
    before, alive = descriptors(), children()
    with monkeypatch.context() as patched:
        patched.setattr(socket if name == "socketpair" else os, name, fail)
        client.begin()
    assert harness.all_of(client.ours) == b""
    harness.until(harness.over)
    assert (descriptors(), children()) == (before - 2, alive)
    assert harness.words == {"program-start-failed": 1}
    logged_failures.expect("could not be started")


class LateClient:
    """A client that connects later."""

    def __init__(self, harness: ExecHarness) -> None:
        self.ours, self._theirs = socket.socketpair()
        self.ours.setblocking(False)
        self._theirs.setblocking(False)
        self._house = harness

    def begin(self) -> None:
        self._house.accept(self._theirs)


def test_the_number_of_programs_is_limited_to_connections(start: Start) -> None:
    """A client that connects while another's program is still ending waits for its exit."""
    harness = start("/bin/sh -c 'trap \"\" TERM; echo; exec sleep 1000'", connections=1, stop=0.1)
    first = harness.connect()
    harness.until(lambda: readable(first))
    harness.lose(first)
    harness.until(lambda: not harness.layer.connections)
    assert len(harness.factory.programs) == 1
    second = harness.connect()
    harness.turn()
    assert harness.words == {"program-started": 1}
    harness.until(lambda: readable(second))
    assert harness.words == {"program-started": 2, "program-killed": 1}
    harness.lose(second)


@pytest.fixture
def other() -> Iterator[ExecHarness]:
    """A service with the limit of one program, on a reactor without generations."""
    from twisted.internet.epollreactor import EPollReactor

    harness = ExecHarness(EPollReactor(), "/bin/cat", connections=1)
    yield harness
    harness.close()


def test_programs_start_between_polls_on_other_reactors(other: ExecHarness) -> None:
    """ "No event may reach an object that was registered after the poll": a descriptor opened
    between two polls is in no pending event."""
    client = other.connect()
    client.sendall(b"early")
    assert not other.factory.programs
    other.until(lambda: readable(client))
    assert client.recv(100) == b"early"
    other.lose(client)
    other.until(other.over)


def test_a_client_lost_before_its_program_starts_frees_its_slot(other: ExecHarness) -> None:
    """No program is started for it; the next client is served."""
    first = other.connect()
    (connection,) = other.layer.connections
    connection.connectionLost(Failure(ConnectionDone()))
    first.close()
    second = other.connect()
    second.sendall(b"mine")
    other.until(lambda: readable(second))
    assert other.words == {"program-started": 1}
    other.lose(second)
    other.until(other.over)


def test_no_program_is_started_while_the_service_stops(other: ExecHarness) -> None:
    """Nothing would wait for its exit."""
    client = other.connect()
    ends: list[object] = []
    other.factory.finish(20.0).addCallback(ends.append)
    assert other.all_of(client) == b""
    assert ends == [None]
    assert other.words == {}


def test_a_drain_sends_sigterm_and_delivers_the_last_output(start: Start) -> None:
    """ "their last output is delivered within ``drain``" """
    harness = start(
        "/bin/sh -c 'trap \"echo bye; exit 0\" TERM; echo; while :; do sleep 0.01; done'"
    )
    client = harness.connect()
    harness.until(lambda: readable(client))
    ends: list[object] = []
    harness.factory.finish(20.0).addCallback(ends.append)
    harness.layer.drain(End.SHUTDOWN, 20.0).addCallback(ends.append)
    assert harness.all_of(client) == b"\nbye\n"
    harness.until(lambda: len(ends) == 2)
    assert harness.over()


def test_a_drain_kills_programs_at_its_timeout(start: Start) -> None:
    harness = start("/bin/sh -c 'trap \"\" TERM; echo; exec sleep 1000'", stop=1000.0)
    client = harness.connect()
    harness.until(lambda: readable(client))
    ends: list[object] = []
    harness.factory.finish(0.05).addCallback(ends.append)
    harness.layer.drain(End.SHUTDOWN, 0.05).addCallback(ends.append)
    harness.until(lambda: len(ends) == 2)
    assert harness.over()
    assert harness.words == {"program-started": 1, "program-killed": 1}
    client.close()


def test_a_reload_applies_to_programs_started_later(start: Start) -> None:
    harness = start("/bin/cat")
    client = harness.connect()
    client.sendall(b"hi")
    harness.until(lambda: readable(client))
    harness.factory.reconfigure(ExecSettings(command=("/bin/echo", "new"), user=USER))
    assert harness.all_of(harness.connect()) == b"new\n"
    client.shutdown(socket.SHUT_WR)
    assert harness.all_of(client) == b"hi"


def test_limits_apply_to_the_program(start: Start) -> None:
    """Set before the first instruction of the program, in the same process."""
    harness = start(
        f"{sys.executable} -S -c 'import resource as r, os; print(r.getrlimit(r.RLIMIT_NOFILE), "
        "r.getrlimit(r.RLIMIT_CPU), r.getrlimit(r.RLIMIT_AS), os.getpid() == os.getsid(0))'",
        files=50,
        cpu=7.5,
        memory=1 << 30,
    )
    assert harness.all_of(harness.connect()) == b"(50, 50) (8, 8) (1073741824, 1073741824) True\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_program_runs_as_another_user(start: Start) -> None:
    """ "supplementary groups set right": those of the user, and none of root's."""
    harness = start("/usr/bin/id", user="nobody")
    assert harness.all_of(harness.connect()) == b"uid=65534(nobody) gid=65534(nogroup) " + (
        b"groups=65534(nogroup)\n"
    )
    harness = start("/bin/sh -c 'id -u; id -g; id -G'", user="4711", group="4712")
    assert harness.all_of(harness.connect()) == b"4711\n4712\n4712\n"


def _alive(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
