"""Strict transport security: clients are told to come back by TLS, and to keep to it.

Source: https://ircv3.net/specs/extensions/sts
"""

from __future__ import annotations


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
