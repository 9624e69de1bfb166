"""Words to the service manager, by sd_notify's protocol: what ``Type=notify`` units say.

The protocol, as sd_notify(3) has it: a datagram to the UNIX socket that ``$NOTIFY_SOCKET`` names,
of lines ``NAME=value``. A leading ``@`` stands for the NUL of an abstract name. systemd listens to
nobody but the main process (``NotifyAccess=main``, which is the default), so that a program which
the daemon runs cannot speak for it.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

#: What a manager reads at most: systemd's NOTIFY_BUFFER_MAX, less its closing NUL.
LONGEST = 4095


class Notifier:
    """Sends words, and never waits: what the manager does not take at once is lost.

    :param address: ``$NOTIFY_SOCKET``; ``""`` where no manager listens. Addresses of other families
        than UNIX sockets (``vsock:``) are for whole machines, and count as none.
    """

    def __init__(self, address: str) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        #: Whether anybody listens.
        self.wanted = address.startswith(("/", "@")) and len(address) > 1

    def tell(self, **words: str | int) -> bool:
        """Say something, all of it at once.

        :param words: by the names of sd_notify(3), as ``READY=1``; a line feed in a value would
            begin another word, and becomes a blank.
        :return: whether the manager has got it; no failure to tell it may end the daemon.
        """
        if not self.wanted:
            return False
        lines = (f"{name}={str(value).replace(chr(10), ' ')}\n" for name, value in words.items())
        data = "".join(lines).encode("utf-8", "replace")
        try:
            # a socket each time: a manager that was executed anew has another at that path
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sending:
                sending.setblocking(False)
                sending.sendto(data[:LONGEST], self._address)
        except (OSError, ValueError):  # a NUL in a path, which no manager passes, is a ValueError
            return False
        return True


def watchdog_interval(environ: Mapping[str, str], pid: int) -> float:
    """How many seconds may pass between two signs of life (sd_watchdog_enabled(3)).

    :param environ: has ``WATCHDOG_USEC`` and perhaps ``WATCHDOG_PID``.
    :param pid: this process's.
    :return: 0 where no signs are expected, or not of this process.
    """
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return 0.0
    microseconds = environ.get("WATCHDOG_USEC", "")
    if not (microseconds.isascii() and microseconds.isdigit()):
        return 0.0
    return int(microseconds) / 1e6
