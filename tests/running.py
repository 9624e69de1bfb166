"""The real daemon, as a child process."""

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

#: Seconds that anything here may take before it has failed.
PATIENCE = 30.0

TWISTD = str(Path(sys.executable).with_name("twistd"))

#: TCPD_TEST_REACTOR=select runs the daemons of the tests on that reactor.
REACTOR = [f"--reactor={name}"] if (name := os.environ.get("TCPD_TEST_REACTOR")) else []

_LISTENING = re.compile(r"service (\S+): listening on (\S+):(\d+)(.*)")


class Daemon:
    """A running ``twistd -n tcpd``.

    :param directory: its working directory, which gets ``tcpd.ini``.
    :param config: the configuration.
    :param twistd: the program, where it is not this environment's.
    :param variables: more of the environment.
    :param reactor: options of twistd's.
    :param may_fork: whether it is forked (:mod:`forking`) although its environment is another. What
        acts at the start of Python does not act then.
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
        self.metrics = ""  # the last text of :func:`metrics`
        self._more = threading.Condition()
        arguments = ["-n", "--pidfile=", *reactor, "tcpd", "--config", "tcpd.ini"]
        environ = {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            # each daemon its own control socket, whoever runs the tests
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
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.ports: dict[tuple[str, str], int] = {}
        try:
            self.wait_for(lambda line: "listening on" in line, listeners)
        except AssertionError:
            self.process.kill()
            self.process.wait(PATIENCE)
            self._reader.join(PATIENCE)
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
        """Wait until so many lines of the log are wanted ones."""

        def found() -> list[str]:
            return [line for line in self.log if wanted(line)]

        with self._more:
            self._more.wait_for(
                lambda: len(found()) >= count or "(end of the log)" in self.log, PATIENCE
            )
        assert len(found()) >= count, "\n".join(self.log)
        return found()

    def connect(self, service: str, words: str = "") -> socket.socket:
        """Connect to a service's listener with these words, e.g. ``tls=main``."""
        client = socket.create_connection(("127.0.0.1", self.ports[service, words]), PATIENCE)
        client.settimeout(PATIENCE)
        return client

    def connect_tls(self, service: str, words: str = "tls=main") -> ssl.SSLSocket:
        """The same over TLS, its certificate verified."""
        return client_context(self.directory).wrap_socket(
            self.connect(service, words), server_hostname="localhost"
        )

    @property
    def control(self) -> Path:
        """Where its control socket is, unless it was configured to be elsewhere."""
        return self.directory / "run" / "control"

    def ctl(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run ``tcpd-ctl`` on it.

        :param text: for its standard input.
        """
        words = ["--socket", str(self.control), *arguments]
        return forking.run("tcpd-ctl", words, text, timeout=PATIENCE)

    def counts(self, service: str) -> Mapping[str, Any]:
        """What SERVICES of the control socket says of a service, as it is now."""
        with Control([str(self.control)], PATIENCE) as control:
            found = json.loads(" ".join(control.ask("SERVICES json").lines))["services"]
        (service_,) = [each for each in found if each["name"] == service]
        return service_

    def stop(self) -> int:
        """Send SIGTERM, wait for the end, and check the log."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()
        log = "\n".join(self.log)
        assert "Traceback" not in log, log
        assert "Unhandled" not in log, log
        return status


def metrics(daemon: Daemon) -> str:
    """The metrics of a daemon as they are now. It writes them once a second at most, and a text
    that was read before is no answer; each differs, for the page counts its own connections."""
    url = f"http://127.0.0.1:{daemon.ports['metrics', '']}/metrics"
    deadline = time.monotonic() + PATIENCE
    while True:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            text: str = answer.read().decode()
        if text != daemon.metrics:
            daemon.metrics = text
            return text
        assert time.monotonic() < deadline, "the metrics stay as they are"
        time.sleep(0.02)


def resident(daemon: Daemon) -> int:
    """Bytes of memory that a daemon has, by Linux's /proc."""
    pages = int(Path(f"/proc/{daemon.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


def descriptors(daemon: Daemon) -> int:
    """How many descriptors a daemon has open, by Linux's /proc."""
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))


def client_context(directory: Path) -> ssl.SSLContext:
    """Trusts the certificate of :func:`certificates.make` in a daemon's directory."""
    return ssl.create_default_context(cafile=str(directory / "localhost.pem"))


def receive_all(client: socket.socket) -> bytes:
    """Read to the end."""
    pieces = []
    while piece := client.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def receive_until(client: socket.socket, end: bytes) -> bytes:
    """Read until what came ends so."""
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
