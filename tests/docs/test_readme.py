"""The tour of README.rst is true: what it shows is what the real daemon and real clients print.

Its ini file is served on free ports; every ``$ command`` of a literal block is run, and what it
prints compared but for numbers and the date. The three conversations are held over sockets.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import PATIENCE, TWISTD, Daemon

from tcpd.net.kernel import TCP_SAVE_SYN

README = (Path(__file__).resolve().parents[2] / "README.rst").read_text(encoding="utf-8")

#: Literal blocks, of code too, in order.
BLOCKS = [
    textwrap.dedent(block).strip("\n") + "\n"
    for block in re.findall(r"(?:::|code-block:: ini)\n\n((?:(?: {4}.*)?\n)+)", README)
]

#: Commands that go on until they are stopped: the daemon, and what people type into.
ANN = "nc localhost 7200"
BOB = "openssl s_client -quiet -CAfile cert.pem -connect localhost:7600"
BY_HAND = "nc localhost 7100"
DAEMON = ".venv/bin/twistd -n"

(INI,) = [block for block in BLOCKS if block.startswith("[tcpd]")]


def commands() -> Iterator[tuple[str, str]]:
    """Each command and what is shown behind it, in order."""
    for block in BLOCKS:
        if not block.startswith("$ "):
            continue
        for piece in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, shown = re.fullmatch(r"((?:.*\\\n)*.*\n)((?:.*\n)*)", piece).groups()  # type: ignore[union-attr]
            yield re.sub(r"\\\n\s*", "", command).strip(), shown


def screen(command: str) -> list[str]:
    """What is shown behind a command, by line."""
    (shown,) = [shown for found, shown in commands() if found.startswith(command)]
    return shown.splitlines()


def masked(text: str) -> str:
    """What stays the same from run to run."""
    text = re.sub(r"/\S*/(?=\w+\.pem)", "/DIRECTORY/", text)
    text = re.sub(r"[A-Z][a-z]+day, [A-Z][a-z]+ \d+,", "DATE", text)
    # the shaft of an arrow is as long as the numbers leave it room
    text = re.sub(r"-{3,}", "---", text)
    return re.sub(r"\d+", "N", text)


def keeps_syns() -> bool:
    """Whether the kernel can: Linux's can since 4.3, and its imitations mostly not."""
    with socket.socket() as listening:
        try:
            listening.setsockopt(socket.IPPROTO_TCP, TCP_SAVE_SYN, 1)
        except OSError:
            return False
    return sys.platform == "linux"


class Tour:
    """The daemon of the tour."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "tour.ini").write_text(INI)
        (certificate,) = [command for command, _ in commands() if command.startswith("openssl req")]
        self.run(certificate)
        free = re.sub(r"^( +127\.0\.0\.1):\d+", r"\1:0", INI, flags=re.M)
        self.daemon = Daemon(directory, free)
        self.ports = dict(self._ports())

    def _ports(self) -> Iterator[tuple[str, int]]:
        for block in INI.split("\n\n"):
            found = re.match(r"\[service:(\w+)\]", block)
            for port, words in re.findall(r"^ +127\.0\.0\.1:(\d+)(.*)", block, re.M):
                assert found
                yield port, self.daemon.ports[found[1], words.strip()]

    def run(self, command: str) -> str:
        done = subprocess.run(
            ["sh", "-c", command.replace(".venv/bin/twistd", TWISTD)],
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return done.stdout

    def connect(self, port: str) -> Conversation:
        return Conversation(self.ports[port])


class Conversation:
    """One client that types lines; what it is sent is collected by line."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._file = self._socket.makefile("rw", encoding="utf-8", newline="\r\n")
        self.received: list[str] = []

    def read_until(self, last: str) -> None:
        """Read lines until one begins so."""
        for line in self._file:
            self.received.append(line.rstrip("\r\n"))
            if self.received[-1].startswith(last):
                return
        raise AssertionError(f"no {last!r} in {self.received}")

    def type(self, line: str) -> None:
        self._socket.sendall(line.encode() + b"\n")

    def close(self) -> None:
        self.received += [line.rstrip("\r\n") for line in self._file]
        self._file.close()
        self._socket.close()


@pytest.fixture
def tour(tmp_path: Path) -> Iterator[Tour]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    tour = Tour(tmp_path)
    try:
        yield tour
    finally:
        tour.daemon.stop()


def test_the_command_that_tests_stands_where_it_is_looked_for() -> None:
    found = re.search(r"^\.\. test-command\n\n::\n\n    (.+)\n\n", README, re.M)
    assert found
    assert found[1].endswith(".venv/bin/pytest")


@pytest.mark.live
def test_the_commands_print_what_is_shown(tour: Tour) -> None:
    nc = shutil.which("nc.openbsd")
    ran = 0
    for command, shown in commands():
        if command.startswith((ANN, BOB, BY_HAND, DAEMON, "openssl req")):
            continue
        if "HANDSHAKE" in command and not keeps_syns():
            continue
        if re.search(r"\bnc\b", command):
            if nc is None:
                continue
            command = re.sub(r"\bnc\b", nc, command)
        command = re.sub(
            r"(localhost[: ])(\d+)", lambda found: found[1] + str(tour.ports[found[2]]), command
        )
        assert masked(tour.run(command)) == masked(shown), command
        ran += 1
    assert ran >= 8


@pytest.mark.live
def test_the_line_service_by_hand(tour: Tour) -> None:
    shown = screen(BY_HAND)
    typed = [line for line in shown if not re.match(r"\d{3}[ -]", line)]
    client = tour.connect("7100")
    client.read_until("220 ")
    for line in typed:
        client.type(line)
    client.close()
    assert [masked(line) for line in client.received] == [
        masked(line) for line in shown if line not in typed
    ]


@pytest.mark.live
def test_two_people_in_a_room(tour: Tour) -> None:
    """Both in the clear here: what TLS makes of a room is tested elsewhere."""
    ann, bob = tour.connect("7200"), tour.connect("7200")
    typed: dict[Conversation, list[str]] = {ann: [], bob: []}

    def types(who: Conversation, line: str, until: str, other_until: str = "") -> None:
        typed[who].append(line)
        who.type(line)
        if until:
            who.read_until(until)
        if other_until:
            (bob if who is ann else ann).read_until(other_until)

    types(ann, "ann", "  In #lobby")
    types(bob, "bob", "  In #lobby", "* bob joined")
    types(ann, "hello bob, are you on TLS?", "", "#lobby <ann>")
    types(bob, "yes, by openssl s_client", "", "#lobby <bob>")
    types(bob, "/me waves", "", "#lobby * bob")
    types(ann, "/msg bob nobody else sees this", "[private to bob]", "[private] <ann>")
    types(bob, "/quit see you", "Goodbye.", "* bob left")
    types(ann, "/quit", "Goodbye.")
    for who, command in {ann: ANN, bob: BOB}.items():
        who.close()
        shown = screen(command)
        places = [shown.index(line) for line in typed[who]]
        assert places == sorted(places)
        assert who.received == [line for i, line in enumerate(shown) if i not in places]
