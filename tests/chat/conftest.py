"""Fixtures for tests of chat."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
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
