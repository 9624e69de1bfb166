"""A double of systemd's service manager: the socket of sd_notify(3)."""

from __future__ import annotations

import socket
from pathlib import Path

from running import PATIENCE


class ServiceManager:
    """Receives notifications on a datagram socket.

    :param address: its path, or NUL and an abstract name.
    """

    def __init__(self, address: Path | bytes) -> None:
        self.path = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address if isinstance(address, bytes) else str(address))
        self.socket.settimeout(PATIENCE)

    def receive(self) -> str:
        """Return the next datagram."""
        return self.socket.recv(65536).decode()

    def read(self) -> dict[str, str]:
        """Return the variables of the next datagram."""
        return dict(line.split("=", 1) for line in self.receive().splitlines())

    def read_until(self, name: str, part: str = "") -> dict[str, str]:
        """Return the next datagram that has this variable, with ``part`` in its value."""
        while name not in (variables := self.read()) or part not in variables[name]:
            pass
        return variables

    def is_silent_for(self, seconds: float) -> bool:
        """Discard what has arrived; return whether nothing arrives within the given seconds."""
        self.socket.setblocking(False)
        try:
            while True:
                self.socket.recv(65536)
        except BlockingIOError:
            pass
        self.socket.settimeout(seconds)
        try:
            self.socket.recv(65536)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(PATIENCE)
        return False

    def close(self) -> None:
        self.socket.close()
