"""Strict transport security (capability ``sts``).

Source: https://ircv3.net/specs/extensions/sts
"""

from __future__ import annotations


def policy(duration: float | None, secure: bool, port: int | None) -> str:
    """Return the value of ``sts``; empty if it is not advertised to this client.

    :param duration: seconds for which clients use TLS only; 0 revokes the policy, ``None`` is no
        policy.
    :param secure: whether the client uses TLS.
    :param port: port of the TLS listener; ``None`` if there is none.
    """
    if duration is None:
        return ""
    if secure:
        return f"duration={int(duration)}"
    return f"port={port}" if port and duration else ""
