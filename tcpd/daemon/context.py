"""The context of a service: the rest of the daemon, for its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.interfaces import IProtocolFactory, IReactorTime
from zope.interface import implementer

from tcpd.interfaces import IContext
from tcpd.net.directory import ServiceEntry
from tcpd.ops.counters import ServiceCounters
from tcpd.ops.follow import Follower
from tcpd.policy.workqueue import WorkQueue


@implementer(IContext)
@dataclass(slots=True)
class Context:
    """See :class:`tcpd.interfaces.IContext`. Each service has one, and keeps it through reloads."""

    service: str
    clock: IReactorTime
    reactor: Any
    uid: int
    wall_clock: Callable[[], float]
    server_name: str
    started: float
    chat: Any
    counters: ServiceCounters
    work: WorkQueue
    reload: Callable[[Callable[[bool, Sequence[str]], None]], None]
    directory: Callable[[], list[ServiceEntry]]
    factory: Callable[[str], IProtocolFactory | None]
    status: Callable[[], dict[str, Any]]
    follow: Callable[..., Follower]
    sections: Mapping[str, Any]
