"""Fixtures for tests of chat."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest
from chat import event_logs, transports
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from tcpd.ops.event_type import EVENT_ID


class RecordedEvents(list[LogEvent]):
    """The logged events with an id."""

    def __call__(self, event: LogEvent) -> None:
        if EVENT_ID in event:
            self.append(event)

    def ids(self) -> list[str]:
        return [event[EVENT_ID] for event in self]

    def texts(self) -> list[str]:
        return [formatEvent(event) for event in self]


@pytest.fixture
def events() -> Iterator[RecordedEvents]:
    recorded = RecordedEvents()
    globalLogPublisher.addObserver(recorded)
    yield recorded
    globalLogPublisher.removeObserver(recorded)


LOGS = ["local", "late"]
TRANSPORTS = ["tcp", "websocket"]

#: Test modules that import one of these can run over WebSocket.
_CLIENTS = {"chat.irc_chat", "chat.text_chat"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test on the local event log, over TCP. As long tests, run it also on a late log and
    over WebSocket."""
    variants = [pytest.param("local", "tcp", id="local")]
    definition = metafunc.definition
    log_kinds = ["local"] if definition.get_closest_marker("on_the_local_log") else LOGS
    transport_kinds = ["tcp"]
    modules = {getattr(each, "__module__", None) for each in vars(metafunc.module).values()}
    if modules & _CLIENTS and not definition.get_closest_marker("over_tcp"):
        transport_kinds = TRANSPORTS
    variants += [
        pytest.param(log, transport, id=f"{log}-{transport}", marks=pytest.mark.long)
        for transport in transport_kinds
        for log in log_kinds
        if (log, transport) != ("local", "tcp")
    ]
    metafunc.parametrize(("log_kind", "transport_kind"), variants, indirect=True)


@pytest.fixture(autouse=True)
def log_kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """The kind of the event log of a chat."""
    event_logs.kind = getattr(request, "param", "local")
    event_logs.seed = event_logs.seed_of(request.node.nodeid)
    yield event_logs.kind
    event_logs.kind = "local"


@pytest.fixture(autouse=True)
def transport_kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """The transport of clients."""
    transports.kind = getattr(request, "param", "tcp")
    yield transports.kind
    transports.kind = "tcp"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, Any]:
    """Add the seed of a late log to the report of a failure."""
    report = yield
    if report.failed and item.funcargs.get("log_kind") == "late":  # type: ignore[attr-defined]
        seed = f"seed {event_logs.seed_of(item.nodeid)}, from the test id and TCPD_TEST_SEED"
        report.sections.append(("late event log", seed))
    return report
