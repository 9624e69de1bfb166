"""The log on a full disk: complete lines, and lost ones are counted."""

from __future__ import annotations

import errno
import json
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import Logger

from tcpd.ops.outputs import LogOutput, Sink, StandardOutput, as_json, as_text
from tcpd.wire.safe_text import escape_controls


class Disk(Sink):
    """Accepts a number of bytes, a few at a time, as write(2) may."""

    def __init__(self, room: int, at_once: int = 1 << 16) -> None:
        self.room = room
        self.at_once = at_once
        self.content = b""

    def _write(self, data: bytes) -> int | None:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = data[: min(self.room, self.at_once)]
        self.room -= len(taken)
        self.content += taken
        return len(taken)


def log_to(sink: Sink, render: Any) -> tuple[Logger, LogOutput]:
    output = LogOutput(sink, render, escape_controls)
    return Logger("test", observer=output), output


@pytest.mark.parametrize("render", [as_text, as_json])
@given(
    rooms=st.lists(st.one_of(st.just(0), st.integers(0, 700)), max_size=8),
    at_once=st.integers(1, 300),
)
def test_each_line_is_written_or_counted_on_a_full_disk(
    render: Any, rooms: list[int], at_once: int
) -> None:
    """ "their number is logged when writing succeeds again"; "A truncated line is ended before the
    next line"."""
    disk = Disk(0, at_once)
    log, output = log_to(disk, render)
    number = 0
    for room in rooms:
        disk.room = room
        for _ in range(3):
            log.info("line {number} ends.", number=number)
            number += 1
    disk.room = 1 << 20
    log.info("line {number} ends.", number=number)
    lines = disk.content.decode().removesuffix("\n").split("\n")
    whole, reported = [], 0
    for line in lines:
        if render is as_json:
            try:
                event = json.loads(line)
            except ValueError:
                assert line.count('{"time":') <= 1, "a truncated line, without a second one"
                continue
            text = event["message"]
        else:
            text = line.partition("] ")[2]
        if text.endswith(" ends.") and text.startswith("line "):
            whole.append(int(text.split()[1]))
        elif text.endswith("log records were lost: No space left on device"):
            reported += int(text.split()[0])
    assert whole == sorted(set(whole))
    assert whole[-1] == number
    assert number + 1 - len(whole) == output.lost == reported


def test_truncated_line_is_ended_before_the_next() -> None:
    disk = Disk(10)
    log, output = log_to(disk, lambda event, escape: event["log_format"])
    log.info("0123456789abcdef")
    log.info("second")
    disk.room = 100
    log.info("third")
    assert disk.content == b"0123456789\n{count} log records were lost: {error}\nthird\n"
    assert output.lost == 2


def test_full_pipe_does_not_block() -> None:
    class Slow(Sink):
        def _write(self, data: bytes) -> int | None:
            return None

    sink = Slow()
    log, output = log_to(sink, as_text)
    log.info("x")
    assert output.lost == 1
    assert sink.error == os.strerror(errno.EAGAIN)


def test_standard_output_on_a_full_disk() -> None:
    """Python's buffer would retain the line and write it in pieces later."""
    with open("/dev/full", "w") as full:
        log, output = log_to(StandardOutput(full), as_text)
        log.info("x")
        log.info("y")
    assert output.lost == 2


def test_closed_standard_output() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as stream:
        log, output = log_to(StandardOutput(stream), as_text)
        log.info("x")
    assert output.lost == 1
