"""Fixtures for tests of chat."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest
from chat import event_logs, transports
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


LOGS = ["local", "late"]
CARRIERS = ["tcp", "websocket"]

#: Modules of clients: what imports one of them can run over WebSocket.
_CLIENTS = {"chat.irc_chat", "chat.text_chat"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test on the local event log, its clients connected by TCP. Among the long tests, run
    it also on a log that delivers late, and with clients that connect by WebSocket: 'all answers
    and their order are as with the local log'."""
    ways = [pytest.param("local", "tcp", id="local")]
    definition = metafunc.definition
    logs_of_it = ["local"] if definition.get_closest_marker("on_the_local_log") else LOGS
    carriers_of_it = ["tcp"]
    modules = {getattr(each, "__module__", None) for each in vars(metafunc.module).values()}
    if modules & _CLIENTS and not definition.get_closest_marker("over_tcp"):
        carriers_of_it = CARRIERS
    ways += [
        pytest.param(log, carrier, id=f"{log}-{carrier}", marks=pytest.mark.long)
        for carrier in carriers_of_it
        for log in logs_of_it
        if (log, carrier) != ("local", "tcp")
    ]
    metafunc.parametrize(("log_kind", "carrier"), ways, indirect=True)


@pytest.fixture(autouse=True)
def log_kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """The kind of event log that houses of the test have."""
    event_logs.kind = getattr(request, "param", "local")
    event_logs.seed = event_logs.seed_of(request.node.nodeid)
    yield event_logs.kind
    event_logs.kind = "local"


@pytest.fixture(autouse=True)
def carrier(request: pytest.FixtureRequest) -> Iterator[str]:
    """What carries the lines of the test's clients."""
    transports.kind = getattr(request, "param", "tcp")
    yield transports.kind
    transports.kind = "tcp"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, Any]:
    """Report the seed of a late log with a failure. The same test run by its id has it again."""
    report = yield
    if report.failed and item.funcargs.get("log_kind") == "late":  # type: ignore[attr-defined]
        seed = f"seed {event_logs.seed_of(item.nodeid)}, of the test's id and TCPD_TEST_SEED"
        report.sections.append(("late event log", seed))
    return report
