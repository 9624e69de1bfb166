"""What the daemon serves, for whoever wants to show it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_PORT = re.compile(r"(?!unix:|systemd:|endpoint:)(?:\[[^]]*\]|[^:\s]+):(\d{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class ServiceEntry:
    """One service as others may know it.

    :ivar name: NAME of ``[service:NAME]``.
    :ivar protocol: the name of its kind.
    :ivar summary: its kind's sentence.
    :ivar listeners: where it listens, as the ini file writes it but with the real port, e.g.
        ``127.0.0.1:7007``, ``*:7007 tls=main``, ``127.0.0.1:7007 udp``. Empty until the ports
        are open.
    """

    name: str
    protocol: str
    summary: str
    listeners: tuple[str, ...]

    def stream_port(self, *, tls: bool) -> int | None:
        """The port of the first listener that clients themselves can speak to by TCP.

        Listeners behind a proxy, and those for WebSocket, do not count.

        :param tls: whether it speaks TLS from the beginning.
        :return: ``None`` for none.
        """
        for listener in self.listeners:
            place, *words = listener.split()
            found = _PORT.fullmatch(place)
            kinds = {word.partition("=")[0] for word in words}
            if found and ("tls" in kinds) is tls and not kinds & {"proxy", "websocket", "udp"}:
                return int(found[1])
        return None


def stream_port(services: Iterable[ServiceEntry], protocol: str, *, tls: bool) -> int | None:
    """The same, of the first service of a kind that has one."""
    ports = (entry.stream_port(tls=tls) for entry in services if entry.protocol == protocol)
    return next(filter(None, ports), None)
