"""Notifies the service manager, by the protocol of sd_notify(3), as ``Type=notify`` units must.

A notification is a datagram of lines ``NAME=value`` to the UNIX socket in ``$NOTIFY_SOCKET``. A
leading ``@`` means the NUL of an abstract name. systemd accepts notifications only from the main
process (``NotifyAccess=main``, the default), so programs that the daemon runs cannot send them.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

#: The largest datagram in bytes: systemd's NOTIFY_BUFFER_MAX without the final NUL.
LONGEST = 4095


class Notifier:
    """Sends notifications without blocking; if the socket's buffer is full they are lost.

    :param address: ``$NOTIFY_SOCKET``; ``""`` without a manager. Addresses of other families
        (``vsock:``), which are for virtual machines, are ignored.
    """

    def __init__(self, address: str) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        #: Whether a manager is configured.
        self.wanted = address.startswith(("/", "@")) and len(address) > 1

    def notify(self, **words: str | int) -> bool:
        """Send one notification.

        :param words: assignments as in sd_notify(3), such as ``READY=1``; line feeds in values are
            replaced by spaces.
        :return: whether it was sent; no failure raises.
        """
        if not self.wanted:
            return False
        lines = (f"{name}={str(value).replace(chr(10), ' ')}\n" for name, value in words.items())
        data = "".join(lines).encode("utf-8", "replace")
        try:
            # a new socket each time, as a re-executed manager has another one at that path
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sending:
                sending.setblocking(False)
                sending.sendto(data[:LONGEST], self._address)
        except (OSError, ValueError):  # ValueError: a NUL in the path
            return False
        return True


def watchdog_interval(environ: Mapping[str, str], pid: int) -> float:
    """Return the watchdog timeout in seconds (sd_watchdog_enabled(3)).

    :param environ: contains ``WATCHDOG_USEC`` and perhaps ``WATCHDOG_PID``.
    :param pid: the pid of this process.
    :return: 0 if the watchdog is disabled, or for another process.
    """
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return 0.0
    microseconds = environ.get("WATCHDOG_USEC", "")
    if not (microseconds.isascii() and microseconds.isdigit()):
        return 0.0
    return int(microseconds) / 1e6
