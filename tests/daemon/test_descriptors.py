"""The limit of open files is raised to what the configuration needs, or a warning is logged."""

from __future__ import annotations

import resource
from typing import Any

import pytest

from tcpd.config import ini
from tcpd.config.build import build
from tcpd.daemon.compose import SECTIONS
from tcpd.daemon.descriptors import needed_descriptors, raise_descriptor_limit
from tcpd.daemon.registry import Kinds

SERVICE = "[service:{0}]\nprotocol = {0}\nlisten = *:{1}\n{2}\n"
ECHO = SERVICE.format("echo", 1, "")
FORWARD = SERVICE.format("forward", 2, "to = 127.0.0.1:9")
EXEC = SERVICE.format("exec", 3, "command = /bin/cat")


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("[tcpd]\nconnections = 100\n" + ECHO, 100),
        ("[tcpd]\nconnections = 100\n" + ECHO + FORWARD, 200),
        ("[tcpd]\nconnections = 100\n[policy:default]\nconnections = 10\n" + ECHO + FORWARD, 110),
        ("[tcpd]\nconnections = 100\n" + FORWARD + EXEC, 400),
    ],
    ids=["one each", "two for who is forwarded", "a policy bounds those", "a program has most"],
)
def test_descriptors_needed_for_all_connections(text: str, needed: int) -> None:
    kinds = Kinds([])
    document, errors = ini.read("x.ini", text)
    assert not errors
    settings = build(document, kinds, SECTIONS)
    assert needed_descriptors(settings, kinds) == needed + 256


class ProcessLimits:
    """Fake limits of the process."""

    def __init__(self, soft: int, hard: int) -> None:
        self.now = (soft, hard)

    def get(self, which: int) -> tuple[int, int]:
        assert which == resource.RLIMIT_NOFILE
        return self.now

    def set(self, which: int, limits: tuple[int, int]) -> None:
        assert limits[1] == self.now[1], "the hard limit is not ours"
        assert limits[1] == resource.RLIM_INFINITY or limits[0] <= limits[1]
        self.now = limits


INFINITE = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "after", "warned"),
    [
        (1024, 524288, 5000, False),
        (1024, INFINITE, 5000, False),
        (8000, 524288, 8000, False),
        (INFINITE, INFINITE, INFINITE, False),
        (1024, 4096, 4096, True),
        (4096, 4096, 4096, True),
    ],
)
def test_soft_limit_is_raised_up_to_the_hard_limit(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, after: int, warned: bool
) -> None:
    limits: Any = ProcessLimits(soft, hard)
    monkeypatch.setattr(resource, "getrlimit", limits.get)
    monkeypatch.setattr(resource, "setrlimit", limits.set)
    warning = raise_descriptor_limit(5000)
    assert limits.now == (after, hard)
    if warned:
        assert warning is not None
        assert "4096 open files" in warning
        assert "LimitNOFILE=5000 in a unit" in warning, "it says what to do"
    else:
        assert warning is None
