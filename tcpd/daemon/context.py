"""What a kind gets from the rest of the daemon."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from tcpd.interfaces import IContext
from tcpd.net.directory import ServiceEntry
from tcpd.ops.counters import ServiceCounters
from tcpd.policy.workqueue import WorkQueue


@implementer(IContext)
@dataclass(frozen=True, slots=True)
class Context:
    """See :class:`tcpd.interfaces.IContext`. Made by :mod:`tcpd.daemon.compose`, one a service."""

    service: str
    clock: IReactorTime
    reactor: Any
    uid: int
    wall_clock: Callable[[], float]
    server_name: str
    started: float
    hub: Any
    counters: ServiceCounters
    work: WorkQueue
    reload: Callable[[Callable[[bool, Sequence[str]], None]], None]
    directory: Callable[[], list[ServiceEntry]]
