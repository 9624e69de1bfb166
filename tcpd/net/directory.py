"""The list of services, for protocols that show it to clients."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_PORT = re.compile(r"(?!unix:|systemd:|endpoint:)(?:\[[^]]*\]|[^:\s]+):(\d{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class ServiceEntry:
    """The public data of one service.

    :ivar name: NAME of ``[service:NAME]``.
    :ivar protocol: the name of its kind.
    :ivar summary: the kind's description, one sentence.
    :ivar listeners: in the syntax of the ini file but with the actual port: ``127.0.0.1:7007``,
        ``*:7007 tls=main``, ``127.0.0.1:7007 udp``. Empty until the ports are open.
    """

    name: str
    protocol: str
    summary: str
    listeners: tuple[str, ...]

    def stream_port(self, *, tls: bool) -> int | None:
        """Return the TCP port of the first listener without ``proxy`` and ``websocket``.

        :param tls: find a listener with TLS from the first byte; if false, one without.
        :return: ``None`` if there is none.
        """
        for listener in self.listeners:
            address, *words = listener.split()
            found = _PORT.fullmatch(address)
            kinds = {word.partition("=")[0] for word in words}
            if found and ("tls" in kinds) is tls and not kinds & {"proxy", "websocket", "udp"}:
                return int(found[1])
        return None


def stream_port(services: Iterable[ServiceEntry], protocol: str, *, tls: bool) -> int | None:
    """Return the port of the first service of a kind that has one; see
    :meth:`ServiceEntry.stream_port`."""
    ports = (entry.stream_port(tls=tls) for entry in services if entry.protocol == protocol)
    return next(filter(None, ports), None)
