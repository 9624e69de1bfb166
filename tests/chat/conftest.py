"""Fixtures for tests of chat."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chat import logs
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from tcpd.ops.event_type import EVENT_ID


class Reported(list[LogEvent]):
    """The events of the catalogue that were reported during a test."""

    def __call__(self, event: LogEvent) -> None:
        if EVENT_ID in event:
            self.append(event)

    def ids(self) -> list[str]:
        return [event[EVENT_ID] for event in self]

    def texts(self) -> list[str]:
        return [formatEvent(event) for event in self]


@pytest.fixture
def events() -> Iterator[Reported]:
    reported = Reported()
    globalLogPublisher.addObserver(reported)
    yield reported
    globalLogPublisher.removeObserver(reported)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test on the local event log and, among the long tests, on one that delivers late:
    'all answers and their order are as with the local log'."""
    marks = metafunc.definition.iter_markers("parametrize")
    if not any("log_kind" in mark.args[0] for mark in marks):
        late = pytest.param("late", marks=pytest.mark.long)
        metafunc.parametrize("log_kind", ["local", late], indirect=True)


@pytest.fixture(autouse=True)
def log_kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """The kind of event log that houses of the test have."""
    logs.kind = getattr(request, "param", "local")
    yield logs.kind
    logs.kind = "local"
