"""Logging of the programs' standard error."""

from __future__ import annotations

import itertools
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import Logger, capturedLogs, formatEvent

from tcpd.line.testing import MemoryContext
from tcpd.relay.exec_errors import LINES, LONGEST, READS, ErrorLines, ErrorLog, ErrorPipe


def lines_of(pieces: list[bytes]) -> list[str]:
    logged: list[str] = []
    lines = ErrorLines(logged.append)
    for piece in pieces:
        assert lines.feed(piece, 5000) == 0
    lines.end()
    return logged


@given(st.binary(max_size=4000).map(lambda data: data.replace(b"x", b"\n")), st.data())
def test_lines_do_not_depend_on_segmentation(content: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=8)))
    edges = [0, *cuts, len(content)]
    pieces = [content[begin:end] for begin, end in itertools.pairwise(edges)]
    assert lines_of(pieces) == lines_of([content])


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        (b"a\r\nb\n\nc", ["a", "b", "c"]),
        (b"\xff\n", ["\ufffd"]),
        (b"x" * LONGEST + b"\ny\n", ["x" * LONGEST, "y"]),
        (b"x" * 100_000 + b"\ny\n", ["x" * LONGEST, "y"]),
        (b"", []),
    ],
)
def test_long_lines_are_truncated(written: bytes, lines: list[str]) -> None:
    assert lines_of([written]) == lines


@given(
    st.lists(st.binary(max_size=30).map(lambda data: data.replace(b"x", b"\n")), max_size=9),
    st.integers(0, 5),
)
def test_dropped_lines_are_counted(pieces: list[bytes], most: int) -> None:
    """Each line is reported, blank or counted, and the line after it is complete."""
    logged: list[str] = []
    lines = ErrorLines(logged.append)
    left_out = sum(lines.feed(piece, most) for piece in pieces)
    assert left_out == sum(max(0, piece.count(b"\n") - most) for piece in pieces)
    assert lines.feed(b"\nwhole\n", 2) == 0
    assert logged[-1] == "whole"


class Descriptors(Clock):
    """A clock and a reactor that records its readers."""

    def __init__(self) -> None:
        super().__init__()
        self.reading: dict[Any, None] = {}

    def addReader(self, reader: Any) -> None:
        self.reading[reader] = None

    def removeReader(self, reader: Any) -> None:
        self.reading.pop(reader, None)


@pytest.mark.parametrize("written", [b"y\n" * 40_000, b"y" * 80_000, b"y\n", b"\n" * 80_000])
def test_programs_that_write_without_end_are_read_at_a_bounded_rate(
    monkeypatch: pytest.MonkeyPatch, written: bytes
) -> None:
    """Such programs use a bounded share of a processor, whatever their number and output. Dropped
    lines are counted and logged."""
    reads: list[bytes] = []

    def read(fd: int, size: int) -> bytes:
        reads.append(written[:size])
        return reads[-1]

    reactor = Descriptors()
    context = MemoryContext(service="x", clock=reactor, reactor=reactor)
    log = ErrorLog(context, Logger())
    monkeypatch.setattr("tcpd.relay.exec_errors.os.read", read)
    with capturedLogs() as logged:
        programs = [
            ErrorPipe(reactor, os.dup(0), log, lambda line: log.line(1, "a", line))
            for _ in range(3)
        ]
        for _ in range(200):
            while reactor.reading:  # all are always readable
                for each in list(reactor.reading):
                    each.doRead()
            reactor.advance(0.1)
        most = READS.burst + READS.per_second * 20
        assert 0.9 * most < len(reads) <= most
        assert sum(each["event_id"] == "exec.stderr" for each in logged) <= (
            LINES.burst + LINES.per_second * 20
        )
        monkeypatch.setattr("tcpd.relay.exec_errors.os.read", lambda fd, size: b"")
        for program in programs:
            program.finish()
        reactor.advance(10)
    assert not reactor.reading
    assert not reactor.getDelayedCalls()
    lost = context.counters.events["program-stderr-lost"]
    assert sum(each["lost"] for each in logged) == lost
    if written.startswith(b"y\n"):
        logged = sum(each["event_id"] == "exec.stderr" for each in logged)
        assert logged + lost == sum(each.count(b"\n") for each in reads)


def test_dropped_lines_are_logged_when_the_service_stops() -> None:
    clock = Clock()
    context = MemoryContext(service="x", clock=clock)
    log = ErrorLog(context, Logger())
    log.stop()
    log.left_out(7)
    with capturedLogs() as logged:
        log.stop()
    assert [formatEvent(each) for each in logged] == [
        "service x: 7 lines that programs wrote to their standard error were not logged"
    ]
    assert not clock.getDelayedCalls()
