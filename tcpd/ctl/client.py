"""A client of the control socket: blocking, without Twisted, quick to start."""

from __future__ import annotations

import grp
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from tcpd.config.locations import AUTO, NONE, control_candidates
from tcpd.wire.output import typed
from tcpd.wire.safe_text import escape_controls

#: Seconds that a reply may take; a reload of many certificates takes a few.
TIMEOUT = 60.0


class Unreachable(Exception):
    """No daemon can be reached; the text says what was tried and what to do."""


class NotAllowed(Exception):
    """The daemon is running, but this user is not an operator."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply.

    :ivar code: three digits; 400 and above is a refusal.
    :ivar lines: the text, safe to print.
    """

    code: int
    lines: tuple[str, ...]


def find_socket(
    path: str | None, config: str | None, environ: Mapping[str, str], uid: int
) -> list[str]:
    """Find the paths where the socket may be.

    :param path: ``--socket``.
    :param config: ``--config``: an ini file, of which only ``[tcpd]`` is read.
    :return: paths to try, in order.
    :raise Unreachable: if the configuration disables the socket, or cannot be read.
    """
    if path is not None:
        return [path]
    if config is None:
        return control_candidates(environ, uid)
    values = _tcpd_section(config)
    control = values.get("control", AUTO)
    if control == NONE:
        raise Unreachable(f"{config} says control = none, so there is no control socket")
    state = values.get("state", "")
    return [control] if control != AUTO else control_candidates(environ, uid, state)


def _tcpd_section(config: str) -> dict[str, str]:
    from tcpd.config import ini
    from tcpd.config.errors import ConfigError
    from tcpd.config.files import to_system
    from tcpd.config.load import find_files, read_file

    documents = []
    try:
        for name in find_files([config]):
            document, faults = read_file(name)
            if not document and faults:
                raise Unreachable(str(faults[0]))
            documents.append(document)
    except ConfigError as error:
        raise Unreachable(str(error)) from error
    section = ini.merge(documents).get("tcpd")
    found = {}
    for key, value in section.values.items() if section else ():
        found[key] = value.text
        if key == "state" or (key == "control" and value.text not in (AUTO, NONE)):
            # a path starts at the directory of the file that names it
            directory = os.path.dirname(os.path.abspath(value.source.file))
            found[key] = value.text and os.path.join(directory, to_system(value.text))
    return found


class Control:
    """A connection to a daemon.

    :param paths: the result of :func:`find_socket`; the first one that a daemon listens on is used.
    :param timeout: seconds.
    :raise Unreachable: if no daemon answers.
    :raise NotAllowed: if this user is no operator.
    """

    def __init__(self, paths: list[str], timeout: float = TIMEOUT) -> None:
        self.path, self._socket = _connect(paths, timeout)
        try:
            self._file: BinaryIO = self._socket.makefile("rb")
            try:
                self._greeted(self._read())
            except BaseException:
                self._file.close()
                raise
        except BaseException:
            self._socket.close()
            raise

    def _greeted(self, greeting: Answer) -> None:
        text = " ".join(greeting.lines)
        if greeting.code == 421:
            raise NotAllowed(text)
        if greeting.code != 220:
            raise Unreachable(f"{self.path}: this is not a control socket: {text}")

    def __enter__(self) -> Control:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._socket.close()

    def ask(self, request: str) -> Answer:
        """Send a request and wait for the answer.

        :param request: one line.
        :raise Unreachable: if the connection is lost, or the answer takes too long.
        """
        self._send(request)
        return self._read()

    def follow(self, request: str) -> Iterator[str]:
        """Send a request with an open-ended answer, and yield its lines except the first.

        It ends when the daemon does.
        """
        self._send(request)
        self._socket.settimeout(None)
        first = True
        while True:
            code, last, text = self._line()
            if code >= 400:
                raise Unreachable(text)
            if last:
                return
            if not first:
                yield text
            first = False

    def _send(self, request: str) -> None:
        if "\n" in request or "\r" in request:
            raise ValueError("an argument must not contain a line end")
        try:
            self._socket.sendall(typed(request).encode("utf-8", "replace") + b"\r\n")
        except OSError as error:
            raise Unreachable(f"{self.path}: {error}") from error

    def _read(self) -> Answer:
        lines = []
        while True:
            code, last, text = self._line()
            lines.append(text)
            if last:
                return Answer(code, tuple(lines))

    def _line(self) -> tuple[int, bool, str]:
        try:
            line = self._file.readline()
        except TimeoutError:
            raise Unreachable(f"{self.path}: the daemon does not answer") from None
        except OSError as error:
            raise Unreachable(f"{self.path}: {error.strerror or error}") from error
        if not line:
            raise Unreachable(f"{self.path}: the daemon closed the connection")
        code, mark, text = line[:3], line[3:4], line[4:].rstrip(b"\r\n")
        if not code.isdigit() or mark not in (b" ", b"-"):
            raise Unreachable(f"{self.path}: this is not a control socket")
        # the daemon has escaped it; another program may not have
        return int(code), mark == b" ", escape_controls(text.decode("utf-8", "replace"))


def _connect(paths: list[str], timeout: float) -> tuple[str, socket.socket]:
    """Connect to the first path that a daemon listens on.

    A stale socket is skipped.

    :return: the path, and the connection.
    """
    fault: Exception | None = None
    found: Exception | None
    for path in paths:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        try:
            sock.connect(path)
            return path, sock
        except (FileNotFoundError, NotADirectoryError):
            found = None
        except ConnectionRefusedError:
            found = Unreachable(
                f"no daemon listens on {path}: the one that created this socket is gone"
            )
        except PermissionError:
            found = NotAllowed(_not_allowed(path))
        except OSError as error:
            found = Unreachable(f"{path}: {error.strerror or error}")
        sock.close()
        fault = fault or found
    raise fault or Unreachable(_nowhere(paths))


def _nowhere(paths: list[str]) -> str:
    tried = " or ".join(map(typed, paths))
    return (
        f"there is no control socket at {tried}: is the daemon running? --socket names "
        "another, and [tcpd] control in the ini file says where the daemon opens it"
    )


def _not_allowed(path: str) -> str:
    for each in (path, os.path.dirname(path)):
        try:
            gid = os.stat(each).st_gid
        except OSError:
            continue
        try:
            group = grp.getgrgid(gid).gr_name
        except KeyError:
            group = str(gid)
        return (
            f"permission denied for {path}: it is for root, the daemon's user and the group "
            f"{group}; [tcpd] control_group names another group"
        )
    return f"permission denied for {path}: it is for root and the group of [tcpd] control_group"
