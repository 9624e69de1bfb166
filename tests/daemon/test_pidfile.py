"""Removal of the pidfile, and error messages of a background daemon."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tcpd.daemon.pidfile import PidFile, may_remove
from tcpd.daemon.starting import StandardError, StartFailed
from tcpd.net.listeners import ListenError

ELSE = 4711  # an unused user id


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that all users can reach, unlike pytest's."""
    with tempfile.TemporaryDirectory() as made:
        path = Path(made)
        path.chmod(0o755)
        yield path
        path.chmod(0o755)


@pytest.mark.parametrize(
    ("mode", "owner", "other"),
    [
        (0o755, True, False),
        (0o555, False, False),
        (0o777, True, True),
        (0o1777, True, False),  # sticky: only the owner may remove a file (inode(7))
    ],
)
def test_directory_permissions_decide_on_removal(
    directory: Path, mode: int, owner: bool, other: bool
) -> None:
    directory.chmod(mode)
    assert may_remove(str(directory), os.getuid()) is owner
    assert may_remove(str(directory), ELSE) is other


def test_unreachable_directory_prevents_removal(directory: Path) -> None:
    """Without search permission no file in it can be removed."""
    below = directory / "below"
    below.mkdir()
    below.chmod(0o777)
    assert may_remove(str(below), ELSE)
    directory.chmod(0o700)
    assert not may_remove(str(below), ELSE)
    assert may_remove(str(below), os.getuid())


@pytest.mark.parametrize("owner", [None, 0, ELSE])
def test_no_helper_process_without_a_pidfile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: int | None
) -> None:
    started: list[object] = []
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **_: started.append(args))
    for path in ("", str(tmp_path / "gone")):
        twistd = {"pidfile": path}
        service = PidFile(twistd, owner)
        service.privilegedStartService()
        service.startService()
        assert twistd["pidfile"] == path
        assert not started


@pytest.fixture
def standard_error(monkeypatch: pytest.MonkeyPatch) -> int:
    """The read end of a pipe that replaces standard error."""
    reading, writing = os.pipe()
    monkeypatch.setattr(os, "dup", lambda _: writing)
    return reading


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ListenError("service a cannot listen: \x1b"), "service a cannot listen: \\x1b"),
        (ValueError("what\nnow"), "ValueError: what\\x0anow"),
    ],
)
def test_background_daemon_reports_why_it_cannot_start(
    standard_error: int, error: Exception, words: str
) -> None:
    """Complete, and on the terminal; twistd's parent gets only 100 bytes."""
    terminal = StandardError(background=True)
    with pytest.raises(StartFailed) as raised:
        terminal.failed(error)
    assert raised.value.__cause__ is error
    assert os.read(standard_error, 1000) == f"tcpd: {words}\n".encode()
    assert os.read(standard_error, 1) == b"", "it was closed"
    os.close(standard_error)
    terminal.failed(error)


def test_foreground_keeps_no_standard_error() -> None:
    terminal = StandardError(background=False)
    terminal.failed(ListenError("x"))
    terminal.close()
