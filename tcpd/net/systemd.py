"""Socket activation: the sockets that systemd passes to this process (sd_listen_fds(3))."""

from __future__ import annotations

import os
from collections.abc import Mapping

#: SD_LISTEN_FDS_START: the first descriptor.
_FIRST = 3


def initial_environment() -> Mapping[str, str]:
    """Return the environment that this process was started with.

    Twisted's endpoints remove LISTEN_FDS and LISTEN_PID from ``os.environ`` when they are imported,
    which is before tcpd runs. ``/proc/self/environ`` still has them.
    """
    try:
        with open("/proc/self/environ", "rb") as file:
            pairs = file.read().split(b"\0")
    except OSError:
        return os.environ
    texts = (os.fsdecode(pair).partition("=") for pair in pairs)
    return {name: value for name, equals, value in texts if equals}


def passed_sockets(environment: Mapping[str, str], pid: int) -> dict[str, list[int]]:
    """Parse LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES.

    :param environment: the initial environment.
    :param pid: the pid of this process. The sockets belong to the process that systemd started, not
        to its children (twistd without ``-n``).
    :return: descriptors by name: ``FileDescriptorName=``, or else the name of the .socket unit. A
        unit with several ``ListenStream=`` has one name for all.
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
