"""Sockets that systemd opened and passed to this process (sd_listen_fds(3))."""

from __future__ import annotations

import os
from collections.abc import Mapping

#: The first descriptor that systemd passes; the others follow it (SD_LISTEN_FDS_START).
_FIRST = 3


def initial_environment() -> Mapping[str, str]:
    """The environment that this process was started with.

    Twisted's endpoints take LISTEN_FDS and LISTEN_PID out of ``os.environ`` when they are imported,
    which is before anything of ours runs; the kernel still has what was there.
    """
    try:
        with open("/proc/self/environ", "rb") as file:
            pairs = file.read().split(b"\0")
    except OSError:
        return os.environ
    texts = (os.fsdecode(pair).partition("=") for pair in pairs)
    return {name: value for name, equals, value in texts if equals}


def passed_sockets(environment: Mapping[str, str], pid: int) -> dict[str, list[int]]:
    """Tell which sockets were passed.

    :param environment: what the process was started with.
    :param pid: this process's; sockets are for the process that systemd started, not for a child
        that went on alone (twistd without ``-n``).
    :return: descriptors by name (``FileDescriptorName=``, or else the name of the .socket unit); a
        unit with several ``ListenStream=`` gives them all one name.
    """
    try:
        count = int(environment.get("LISTEN_FDS", "0"))
    except ValueError:
        return {}
    if environment.get("LISTEN_PID") != str(pid):
        return {}
    # systemd before 227 passed no names
    names = environment["LISTEN_FDNAMES"].split(":") if "LISTEN_FDNAMES" in environment else []
    found: dict[str, list[int]] = {}
    for number in range(count):
        name = names[number] if number < len(names) else "unknown"
        found.setdefault(name, []).append(_FIRST + number)
    return found
