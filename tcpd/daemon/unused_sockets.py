"""Sockets that systemd passed and that no service listens on."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.logger import Logger

from tcpd.config.listen import SystemdSocket
from tcpd.daemon.running_services import RunningServices
from tcpd.ops import catalogue

_log = Logger()


def warn_of_unused_sockets(passed: Iterable[str], services: RunningServices) -> None:
    """Log each socket that no service uses: its clients wait in the kernel and see no error.

    A drained service is expected to come back, so its sockets count as used.

    :param passed: names of the sockets that systemd passed.
    :param services: the running services.
    """
    used = {
        listener.bind.name
        for service in (*services.settings.services.values(), *services.drained.values())
        for listener in service.listen
        if isinstance(listener.bind, SystemdSocket)
    }
    for name in sorted(set(passed) - used):
        catalogue.DAEMON_SOCKET_UNUSED.emit(_log, name=name)
