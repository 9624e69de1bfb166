"""Test doubles for commands, also for other packages: a context in memory, and requests."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.task import Clock
from zope.interface import implementer

from tcpd.interfaces import IContext
from tcpd.line.command import CommandTable, ConnectionFacts, ConnectionScope, PlainFacts, Request
from tcpd.net.directory import ServiceEntry
from tcpd.ops.counters import ServiceCounters
from tcpd.ops.follow import Follower, Followers
from tcpd.policy.workqueue import WorkQueue
from tcpd.wire.safe_text import escape_controls


def _unbounded() -> WorkQueue:
    """A queue without a time limit, so that nothing waits."""
    return WorkQueue(time.monotonic, lambda _: None, lambda: None, math.inf)


@implementer(IContext)
@dataclass
class MemoryContext:
    """A context with a clock that ``clock.advance(seconds)`` advances.

    :ivar epoch: the wall clock when ``clock`` is 0.
    :ivar services: the entries of the directory.
    :ivar work: runs all work immediately.
    :ivar factories: the factories of other services, by name.
    :ivar followers: the source of :meth:`follow`.
    """

    service: str = "line"
    clock: Clock = field(default_factory=Clock)
    server_name: str = "example.net"
    started: float = 0.0
    chat: Any = None
    reactor: Any = None
    uid: int = 1000
    counters: ServiceCounters = field(default_factory=ServiceCounters)
    work: WorkQueue = field(default_factory=_unbounded)
    epoch: float = 1772384709.0
    services: list[ServiceEntry] = field(default_factory=list)
    sections: Mapping[str, Any] = field(default_factory=dict)
    factories: Mapping[str, Any] = field(default_factory=dict)
    followers: Followers = field(default_factory=lambda: Followers(escape_controls))

    def wall_clock(self) -> float:
        """Seconds since 1970 UTC."""
        return self.epoch + self.clock.seconds()

    def reload(self, done: Callable[[bool, Sequence[str]], None]) -> None:
        """Fail: there is no configuration."""
        done(False, ("there is no configuration",))

    def directory(self) -> list[ServiceEntry]:
        """A copy of :attr:`services`."""
        return list(self.services)

    def factory(self, service: str) -> Any:
        """The factory in :attr:`factories`."""
        return self.factories.get(service)

    def status(self) -> dict[str, Any]:
        """A daemon without services."""
        return {"status": {"server_name": self.server_name, "ready": True}, "services": []}

    def follow(self, callback: Callable[[str], object], recent: bool = False) -> Follower:
        """Follow :attr:`followers`."""
        return self.followers.follow(callback, recent=recent)


def make_request(
    argument: str = "",
    *,
    context: IContext | None = None,
    connection: ConnectionFacts | None = None,
    commands: CommandTable | None = None,
) -> Request:
    """Make a request: ``command.call(make_request("tea"))``.

    :param argument: the text after the command.
    :param context: by default a :class:`MemoryContext`.
    :param connection: by default from 192.0.2.1, without TLS.
    :param commands: by default none.
    """
    request = Request()
    request.argument = argument
    request.scope = ConnectionScope(
        connection or PlainFacts("line", "192.0.2.1:4711"),
        context or MemoryContext(),
        commands or CommandTable([]),
    )
    return request
