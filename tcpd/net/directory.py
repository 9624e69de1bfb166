"""What the daemon serves, for whoever wants to show it."""

from __future__ import annotations

from dataclasses import dataclass


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
