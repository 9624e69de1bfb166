"""File descriptors: the process's limit follows the number of connections configured."""

from __future__ import annotations

import resource
from collections.abc import Mapping
from typing import Any

from twisted.logger import Logger

from tcpd.config.settings import Settings
from tcpd.ops import catalogue

_log = Logger()

#: For listeners, logs, the reactor and what is refused just now.
_RESERVE = 256


def needed_descriptors(settings: Settings, kinds: Mapping[str, Any]) -> int:
    """How many descriptors the daemon has open when all its connections are used.

    :param settings: checked.
    :param kinds: by name; those of the daemon's own services may be left out.
    """
    everybody = settings.tcpd.connections
    needed = everybody
    most = 1
    for service in settings.services.values():
        each = getattr(kinds.get(service.protocol), "descriptors", 1)
        if each > 1:
            most = max(most, each)
            needed += min(settings.policies[service.policy].connections, everybody) * (each - 1)
    return min(needed, everybody * most) + _RESERVE


def provide_descriptors(settings: Settings, kinds: Mapping[str, Any]) -> None:
    """Raise the limit of open files to what the settings need, and log where that fails.

    :param settings: checked.
    :param kinds: by name.
    """
    warning = raise_descriptor_limit(needed_descriptors(settings, kinds))
    if warning:
        catalogue.DAEMON_DESCRIPTORS.emit(_log, warning=warning)


def raise_descriptor_limit(needed: int) -> str | None:
    """Raise this process's soft limit, as far as the hard one allows and is needed.

    :param needed: how many descriptors the configuration takes.
    :return: a sentence for the log if that is not enough, else ``None``.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return None
    reachable = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if reachable > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
    if reachable >= needed:
        return None
    return (
        f"the system allows this process {reachable} open files, and [tcpd] connections takes up "
        f"to {needed}: raise the limit (LimitNOFILE={needed} in a unit, else ulimit -Hn) or lower "
        "the number; clients for whom there is none left are refused (no-descriptor)"
    )
