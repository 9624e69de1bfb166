"""File descriptors: as many as the configuration promises connections."""

from __future__ import annotations

import resource

#: For listeners, logs, the reactor and what is refused just now.
_RESERVE = 256


def raise_descriptor_limit(connections: int) -> str | None:
    """Raise this process's soft limit, as far as the hard one allows and is needed.

    :param connections: how many the configuration allows.
    :return: a sentence for the log if that is not enough, else ``None``.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + _RESERVE
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return None
    reachable = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if reachable > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
    if reachable >= needed:
        return None
    return (
        f"the system allows this process {reachable} open files, too few for [tcpd] "
        f"connections = {connections}; raise the limit (LimitNOFILE= in a unit, ulimit -Hn) or "
        "lower the number"
    )
