"""Strict transport security: clients are told to come back by TLS, and to keep to it.

Source: https://ircv3.net/specs/extensions/sts
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_PORT = re.compile(r"(?!unix:|systemd:|endpoint:)(?:\[[^]]*\]|[^:\s]+):(\d{1,5})", re.ASCII)


def tls_port(listeners: Iterable[str]) -> int | None:
    """The port of the first listener that speaks TLS with clients themselves.

    :param listeners: as :class:`tcpd.net.directory.ServiceEntry` has them.
    :return: ``None`` for none.
    """
    for listener in listeners:
        place, *words = listener.split()
        found = _PORT.fullmatch(place)
        kinds = {word.partition("=")[0] for word in words}
        if found and "tls" in kinds and not kinds & {"proxy", "websocket"}:
            return int(found[1])
    return None


def policy(duration: float | None, secure: bool, port: int | None) -> str:
    """The value of the capability; empty for who is not to be told of it.

    :param duration: for how many seconds clients are to keep to TLS; 0 takes back what they were
        told before, ``None`` says nothing.
    :param secure: whether the client speaks TLS now.
    :param port: where it could.
    """
    if duration is None:
        return ""
    if secure:
        return f"duration={int(duration)}"
    return f"port={port}" if port and duration else ""
