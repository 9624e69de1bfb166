"""Sockets passed by systemd (sd_listen_fds(3))."""

from __future__ import annotations

import pytest

from tcpd.net.systemd import initial_environment, passed_sockets


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, {}),
        ({"LISTEN_FDS": "2", "LISTEN_PID": "7", "LISTEN_FDNAMES": "a:b"}, {"a": [3], "b": [4]}),
        (
            {"LISTEN_FDS": "3", "LISTEN_PID": "7", "LISTEN_FDNAMES": "a:b:a"},
            {"a": [3, 5], "b": [4]},
        ),
        ({"LISTEN_FDS": "1", "LISTEN_PID": "8", "LISTEN_FDNAMES": "a"}, {}),
        ({"LISTEN_FDS": "1", "LISTEN_PID": "7"}, {"unknown": [3]}),
        ({"LISTEN_FDS": "x", "LISTEN_PID": "7", "LISTEN_FDNAMES": "a"}, {}),
    ],
)
def test_passed_sockets(environment: dict[str, str], found: dict[str, list[int]]) -> None:
    assert passed_sockets(environment, 7) == found


def test_initial_environment() -> None:
    assert "PATH" in initial_environment()
