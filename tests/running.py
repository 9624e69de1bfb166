"""The live daemon as a child process, and clients of it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import alone
import forking

from tcpd.ctl.client import Control

#: Timeout in seconds of each wait.
PATIENCE = 30.0

TWISTD = str(Path(sys.executable).with_name("twistd"))

#: TCPD_TEST_REACTOR=select runs the daemons of the tests on that reactor.
REACTOR = [f"--reactor={name}"] if (name := os.environ.get("TCPD_TEST_REACTOR")) else []

_LISTENING = re.compile(r"service (\S+): listening on (\S+):(\d+)(.*)")


class Daemon:
    """A running ``twistd -n tcpd``.

    :param directory: its working directory, which gets ``tcpd.ini``.
    :param config: the configuration.
    :param twistd: the program; by default this environment's.
    :param variables: added to the environment.
    :param reactor: options of twistd.
    :param may_fork: fork it (:mod:`forking`) in spite of ``variables``; those that Python reads at
        startup have no effect then.
    """

    def __init__(
        self,
        directory: Path,
        config: str,
        twistd: str | Path = TWISTD,
        variables: Mapping[str, str] = MappingProxyType({}),
        reactor: Sequence[str] = REACTOR,
        may_fork: bool = False,
    ) -> None:
        self.directory = directory
        (directory / "tcpd.ini").write_text(config)
        listeners = sum(
            len([line for line in block.split("\n") if re.match(r"\s+\S+:\S", line)])
            for block in re.findall(r"^listen =((?:\n[ \t]+.*)+)", config, re.M)
        )
        self.log: list[str] = []
        self.metrics = ""  # the last result of :func:`metrics`
        self._more = threading.Condition()
        arguments = ["-n", "--pidfile=", *reactor, "tcpd", "--config", "tcpd.ini"]
        environ = {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            # a separate control socket for each daemon
            "RUNTIME_DIRECTORY": str(directory / "run"),
            "XDG_STATE_HOME": str(directory / "run"),
            **variables,
        }
        self.process: forking.Forked | subprocess.Popen[str]
        if twistd == TWISTD and (may_fork or not variables) and not alone.is_alone:
            self.process = forking.start("twistd", arguments, directory, environ)
        else:
            self.process = subprocess.Popen(
                [twistd, *arguments],
                cwd=directory,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=environ,
            )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.ports: dict[tuple[str, str], int] = {}
        try:
            self.wait_for(lambda line: "listening on" in line, listeners)
        except AssertionError:
            self.process.kill()
            self.process.wait(PATIENCE)
            self.reader.join(PATIENCE)
            assert self.process.stdout is not None
            self.process.stdout.close()
            raise
        for line in self.log:
            found = _LISTENING.search(line)
            if found:
                self.ports[found[1], found[4].strip()] = int(found[3])

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._more:
                self.log.append(line.rstrip("\n"))
                self._more.notify_all()
        with self._more:
            self.log.append("(end of the log)")
            self._more.notify_all()

    def wait_for(self, wanted: Callable[[str], bool], count: int = 1) -> list[str]:
        """Wait until ``count`` lines of the log are wanted; return them."""

        def found() -> list[str]:
            return [line for line in self.log if wanted(line)]

        with self._more:
            self._more.wait_for(
                lambda: len(found()) >= count or "(end of the log)" in self.log, PATIENCE
            )
        assert len(found()) >= count, "\n".join(self.log)
        return found()

    def connect(self, service: str, words: str = "") -> socket.socket:
        """Connect to the listener of a service that has these options, e.g. ``tls=main``."""
        client = socket.create_connection(("127.0.0.1", self.ports[service, words]), PATIENCE)
        client.settimeout(PATIENCE)
        return client

    def connect_tls(self, service: str, words: str = "tls=main") -> ssl.SSLSocket:
        """Connect over TLS, and verify the certificate."""
        return client_context(self.directory).wrap_socket(
            self.connect(service, words), server_hostname="localhost"
        )

    @property
    def control(self) -> Path:
        """Default path of its control socket."""
        return self.directory / "run" / "control"

    def ctl(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run ``tcpd-ctl`` on its control socket.

        :param text: for its standard input.
        """
        words = ["--socket", str(self.control), *arguments]
        return forking.run("tcpd-ctl", words, text, timeout=PATIENCE)

    def counts(self, service: str) -> Mapping[str, Any]:
        """Return a service's row in the reply to SERVICES of the control socket."""
        with Control([str(self.control)], PATIENCE) as control:
            found = json.loads(" ".join(control.ask("SERVICES json").lines))["services"]
        (service_,) = [each for each in found if each["name"] == service]
        return service_

    def stop(self) -> int:
        """Send SIGTERM, wait for the exit, and check that the log has no traceback."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()
        log = "\n".join(self.log)
        assert "Traceback" not in log, log
        assert "Unhandled" not in log, log
        return status


def metrics(daemon: Daemon) -> str:
    """Return the current metrics of a daemon.

    The daemon caches them for a second, so the function reads until they differ from the last
    result; they do, since the page counts its own connections.
    """
    url = f"http://127.0.0.1:{daemon.ports['metrics', '']}/metrics"
    deadline = time.monotonic() + PATIENCE
    while True:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            text: str = answer.read().decode()
        if text != daemon.metrics:
            daemon.metrics = text
            return text
        assert time.monotonic() < deadline, "the metrics do not change"
        time.sleep(0.02)


def resident(daemon: Daemon) -> int:
    """Return the resident memory of a daemon in bytes, from /proc."""
    pages = int(Path(f"/proc/{daemon.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


def descriptors(daemon: Daemon) -> int:
    """Return the number of open descriptors of a daemon, from /proc."""
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))


def client_context(directory: Path) -> ssl.SSLContext:
    """Make a context that trusts ``localhost.pem`` in a daemon's directory."""
    return ssl.create_default_context(cafile=str(directory / "localhost.pem"))


def receive_all(client: socket.socket) -> bytes:
    """Read until EOF."""
    pieces = []
    while piece := client.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def receive_until(client: socket.socket, end: bytes) -> bytes:
    """Read until the data ends with ``end``."""
    received = b""
    while not received.endswith(end):
        piece = client.recv(65536)
        assert piece, f"closed after {received!r}, before {end!r}"
        received += piece
    return received


EVERYTHING = (
    """
[tcpd]
server_name = test.example
drain = 2s
[policy:default]
per_address = 10000
connections = 10000
[tls:main]
certificate = localhost.pem
key = localhost-key.pem
"""
    + "".join(
        f"""
[service:{kind}]
protocol = {kind}
listen =
    127.0.0.1:0
    127.0.0.1:0 tls=main
    127.0.0.1:0 udp
"""
        for kind in ("echo", "discard", "daytime", "time", "qotd", "chargen")
    )
    + """
[service:line]
protocol = line
listen =
    127.0.0.1:0
    127.0.0.1:0 tls=main
    127.0.0.1:0 starttls=main
[service:chat]
protocol = chat
listen =
    127.0.0.1:0
    127.0.0.1:0 tls=main
"""
)
