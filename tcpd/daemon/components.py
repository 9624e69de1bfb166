"""The components that live as long as the daemon, through all reloads."""

from __future__ import annotations

import itertools
import os
import re
import secrets
import socket
from collections.abc import Callable, Mapping
from typing import Any

from tcpd.chat.service import ChatService
from tcpd.config.settings import Settings
from tcpd.daemon.certificate_store import CertificateStore
from tcpd.net.handshake_capture import HandshakeCapture
from tcpd.net.systemd import initial_environment, passed_sockets
from tcpd.net.turns import TurnScheduler, work_queue
from tcpd.ops.counters import DaemonCounters
from tcpd.ops.memory import MemoryGuard
from tcpd.policy.admission import ConnectionCount
from tcpd.policy.bans import Bans


class Components:
    """Created once, when the daemon is composed.

    :param settings: the settings at the start. A reload updates the limits that it may change.
    :param kinds: the kinds of services, by name.
    :param reactor: opens ports and provides the clock.
    :param wall_clock: seconds since 1970, UTC.
    :param uid: the user id that the daemon changes to; ``None`` for no change.
    :param gid: the group id that it changes to together with the user id.

    :ivar server_name: the name in greetings and reports.
    :ivar started: ``reactor.seconds()`` at the start.
    :ivar connection_count: the connections of all services together.
    :ivar bans: networks that an operator has banned.
    :ivar ids: the ids of connections.
    :ivar systemd: the sockets that systemd passed, by name.
    :ivar turns: see :class:`tcpd.net.turns.TurnScheduler`.
    :ivar work: the queue of work that clients cause.
    :ivar memory: reports failed allocations.
    :ivar handshake_capture: enables the capture of handshakes on listening sockets.
    :ivar own_ports: UDP ports of the daemon, whose datagrams are not answered.
    :ivar counters: the counters of the daemon as a whole.
    :ivar certificates: the certificates in use.
    :ivar chat: the rooms of chat, shared by the frontends.
    """

    def __init__(
        self,
        settings: Settings,
        kinds: Mapping[str, Any],
        reactor: Any,
        wall_clock: Callable[[], float],
        uid: int | None = None,
        gid: int | None = None,
    ) -> None:
        self.kinds = kinds
        self.reactor = reactor
        self.wall_clock = wall_clock
        self.uid = os.geteuid() if uid is None else uid
        self.user = None if uid is None else (uid, gid)
        self.server_name = settings.tcpd.server_name or _host_name()
        self.started: float = reactor.seconds()
        self.connection_count = ConnectionCount(settings.tcpd.connections)
        self.bans = Bans(wall_clock)
        self.ids = itertools.count(1)
        environment = initial_environment()
        self.systemd = passed_sockets(environment, os.getpid())
        self.turns = TurnScheduler(reactor)
        self.work = work_queue(reactor)
        self.memory = MemoryGuard(reactor)
        if hasattr(reactor, "no_memory"):
            reactor.no_memory = self.memory.failed
        self.handshake_capture = HandshakeCapture(settings.tcpd.handshake, settings.tcpd.server_isn)
        self.own_ports: set[int] = set()
        self.counters = DaemonCounters()
        self.certificates = CertificateStore(environment.get("CREDENTIALS_DIRECTORY"))
        self.chat = ChatService(
            settings.sections["chat"],
            node=self.server_name[:32],
            boot=secrets.token_hex(4),
            wall_clock=wall_clock,
            clock=reactor,
            work=self.work,
        )


def _host_name() -> str:
    """The host name without characters that are invalid in a greeting."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", socket.gethostname())[:63].strip(".-") or "localhost"
