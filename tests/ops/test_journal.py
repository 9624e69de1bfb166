"""The journal's native protocol: https://systemd.io/JOURNAL_NATIVE_PROTOCOL/"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import LogEvent, Logger, LogLevel
from twisted.python.failure import Failure

from tcpd.ops import catalogue
from tcpd.ops.journal import Journal, encode, field_name
from tcpd.wire.safe_text import escape_controls


def decode(record: bytes) -> list[tuple[str, str]]:
    """Read a record as the journal does."""
    fields = []
    while record:
        line, _, rest = record.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (size,) = struct.unpack_from("<Q", rest)
            value, end, record = rest[8 : 8 + size], rest[8 + size : 9 + size], rest[9 + size :]
            assert end == b"\n"
        else:
            record = rest
        fields.append((name.decode(), value.decode()))
    return fields


class JournalHarness:
    """A journal socket in a temporary directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.elsewhere: list[LogEvent] = []
        self.socket: socket.socket
        self.listen()
        self.journal = Journal(escape_controls, self.elsewhere.append, str(path))  # type: ignore[arg-type]
        self.log = Logger("test", observer=self.journal)

    def listen(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.setblocking(False)

    def vanish(self) -> None:
        self.socket.close()
        self.path.unlink()

    def read(self) -> dict[str, str]:
        return dict(decode(self.socket.recv(1 << 20)))


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[JournalHarness]:
    made = JournalHarness(tmp_path / "journal")
    yield made
    made.journal.close()
    made.socket.close()


def test_examples_of_the_specification() -> None:
    """Fields are NAME=value, or with a line feed in the value: NAME, LF, its length as 64 bits
    little-endian, the value, LF."""
    assert encode([("PRIORITY", "4"), ("MESSAGE", "a\nb")]) == (
        b"PRIORITY=4\nMESSAGE\n\x03\x00\x00\x00\x00\x00\x00\x00a\nb\n"
    )


@given(st.lists(st.tuples(st.from_regex(r"[A-Z][A-Z0-9_]{0,63}", fullmatch=True), st.text())))
def test_encoded_record_is_decoded(fields: list[tuple[str, str]]) -> None:
    assert decode(encode(fields)) == [
        (name, value.encode("utf-8", "backslashreplace").decode()) for name, value in fields
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("bytes_in", "TCPD_BYTES_IN"), ("a-b.c", "TCPD_A_B_C"), ("é", "TCPD__"), ("x" * 99, None)],
)
def test_field_names_are_valid(name: str, expected: str | None) -> None:
    """Upper-case letters, digits and underscores, at most 64, not beginning with an underscore."""
    found = field_name(name)
    assert expected in (None, found)
    assert len(found) <= 64


def test_record_has_the_fields_of_the_event(harness: JournalHarness) -> None:
    catalogue.CONNECTION_REFUSED.emit(
        harness.log, service="echo", peer="p\x1b\n", refusal="denied", since=3
    )
    assert harness.read() == {
        "MESSAGE": r"service echo: refused p\x1b\x0a: denied (3 more since last logged)",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "tcpd",
        "TCPD_LOGGER": "test",
        "TCPD_EVENT": "connection.refused",
        "TCPD_SERVICE": "echo",
        "TCPD_PEER": r"p\x1b\x0a",
        "TCPD_REFUSAL": "denied",
        "TCPD_SINCE": "3",
    }


@pytest.mark.parametrize(
    ("level", "priority"),
    [("debug", "7"), ("info", "6"), ("warn", "4"), ("error", "3"), ("critical", "2")],
)
def test_levels_map_to_severities(harness: JournalHarness, level: str, priority: str) -> None:
    """RFC 5424 section 6.2.1."""
    harness.log.emit(LogLevel.levelWithName(level), "x")
    assert harness.read()["PRIORITY"] == priority


def test_traceback_is_in_the_message_and_a_field(harness: JournalHarness) -> None:
    harness.log.failure("it broke", Failure(ValueError("why")))
    record = harness.read()
    first, *others = record["MESSAGE"].split("\n")
    assert first == "it broke"
    assert others == record["TCPD_TRACEBACK"].split("\n")
    assert others[-1].endswith("why")


def test_fallback_is_used_without_a_journal(harness: JournalHarness) -> None:
    harness.vanish()
    harness.log.info("one")
    harness.log.info("two")
    assert [event.get("event_id") or event["log_format"] for event in harness.elsewhere] == [
        "log.fallback",
        "one",
        "two",
    ]
    harness.listen()
    harness.log.info("three")
    assert harness.read()["MESSAGE"] == "three"
    assert len(harness.elsewhere) == 3


def test_full_socket_does_not_block(harness: JournalHarness) -> None:
    """ "records are lost and counted" """
    sent = 3000  # more than a socket's queue holds
    for each in range(sent):
        harness.log.info("{n}", n=each)
    read = []
    while True:
        try:
            read.append(harness.read())
        except BlockingIOError:
            break
    assert 0 < len(read) < sent
    harness.log.info("again")
    lost = harness.read()
    assert lost["TCPD_EVENT"] == "log.lost"
    assert int(lost["TCPD_COUNT"]) == sent - len(read)
    assert harness.read()["MESSAGE"] == "again"
    assert harness.elsewhere == []


def test_record_that_does_not_fit_is_truncated(harness: JournalHarness) -> None:
    default = int(Path("/proc/sys/net/core/wmem_default").read_text())
    fields = {f"f{number}": "x" * 1000 for number in range(default // 500)}
    harness.log.info("much", **fields)
    record = harness.read()
    assert record["MESSAGE"] == "much [cut]"
    assert "TCPD_F1" not in record
