"""File descriptors: the process's limit follows the number of connections configured."""

from __future__ import annotations

import resource
from collections.abc import Mapping
from typing import Any

from twisted.logger import Logger

from tcpd.config.settings import Settings
from tcpd.ops import catalogue

_log = Logger()

#: For listeners, logs, the reactor and refused connections.
_RESERVE = 256


def needed_descriptors(settings: Settings, kinds: Mapping[str, Any]) -> int:
    """The number of open descriptors when all connections are in use.

    :param settings: checked.
    :param kinds: the kinds of services, by name; those of the daemon's own services may be left
        out.
    """
    connections = settings.tcpd.connections
    needed = connections
    most = 1
    for service in settings.services.values():
        each = getattr(kinds.get(service.protocol), "descriptors", 1)
        if each > 1:
            most = max(most, each)
            needed += min(settings.policies[service.policy].connections, connections) * (each - 1)
    return min(needed, connections * most) + _RESERVE


def provide_descriptors(settings: Settings, kinds: Mapping[str, Any]) -> None:
    """Raise the limit of open files to the number that the settings need, and log a failure.

    :param settings: checked.
    :param kinds: the kinds of services, by name.
    """
    warning = raise_descriptor_limit(needed_descriptors(settings, kinds))
    if warning:
        catalogue.DAEMON_DESCRIPTORS.emit(_log, warning=warning)


def raise_descriptor_limit(needed: int) -> str | None:
    """Raise this process's soft limit, as far as needed and the hard limit allows.

    :param needed: the number of descriptors for the configuration.
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
        "the number; clients beyond the limit are refused (no-descriptor)"
    )
