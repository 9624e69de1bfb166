"""A client of the text frontend."""

from __future__ import annotations

import socket

from running import PATIENCE, Daemon, receive_until


class PlainTextClient:
    """A client of the text frontend, on a plain socket like nc."""

    def __init__(self, daemon: Daemon, nick: str, *rooms: str) -> None:
        self._socket: socket.socket = daemon.connect("chat")
        self._socket.settimeout(PATIENCE)
        self.type(nick)
        self.sees("joined #lobby")
        for room in rooms:
            self.type(f"/join {room}")
            self.sees(f"What you type goes to {room} now.")

    def type(self, line: str) -> None:
        self._socket.sendall(f"{line}\r\n".encode())

    def sees(self, text: str) -> str:
        """Read until a line contains the text; return it."""
        while True:
            line = receive_until(self._socket, b"\r\n").decode()
            if text in line:
                return line

    def close(self) -> None:
        self._socket.close()
