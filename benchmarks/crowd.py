"""``python -m benchmarks.crowd HOST PORT``: holds many connections to a running server.

They come from many addresses of the loopback network; each has sent a line and got a reply.
docs/howto/tuning.rst uses it.
"""

from __future__ import annotations

import argparse
import itertools
import selectors
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.process import raise_files

_PATIENCE = 10.0
_OWN_FILES = 50


def addresses(count: int) -> Iterator[str]:
    """Yield ``count`` addresses of 127.0.0.0/8."""
    for number in range(count):
        yield f"127.{number // 62500}.{number // 250 % 250 + 1}.{number % 250 + 1}"


def connect(host: str, port: int, source: str, tls: ssl.SSLContext | None) -> socket.socket:
    """Connect, send a line, and wait for the reply.

    :param tls: context for TLS, or ``None``.
    :raise OSError: if the connection fails, or there is no reply.
    """
    made = socket.create_connection((host, port), _PATIENCE, (source, 0))
    try:
        if tls:
            made = tls.wrap_socket(made)
        made.sendall(b"ping\r\n")
        if not made.recv(4096):
            raise ConnectionError("closed without a reply")
    except OSError:
        made.close()
        raise
    made.setblocking(False)
    return made


def ended(crowd: list[socket.socket]) -> int:
    """Return the number of connections that the server has closed or reset."""
    count = 0
    with selectors.DefaultSelector() as selector:
        for each in crowd:
            selector.register(each, selectors.EVENT_READ)
        for key, _ in selector.select(0):
            try:
                while data := key.fileobj.recv(4096):  # type: ignore[union-attr]
                    pass
            except (BlockingIOError, ssl.SSLWantReadError):
                continue
            except OSError:
                data = b""
            count += not data
    return count


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes, from /proc."""
    status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def main() -> int:
    """:return: the exit status: 1 if a connection failed or was closed by the server."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crowd", description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--connections", type=int, default=20000)
    parser.add_argument("--addresses", type=int, default=200, help="number of source addresses")
    parser.add_argument("--hold", type=float, default=10.0, help="seconds to hold all connections")
    parser.add_argument("--tls", action="store_true", help="use TLS; do not verify the certificate")
    parser.add_argument("--pid", type=int, help="of the server, to report its memory")
    arguments = parser.parse_args()
    allowed = raise_files() - _OWN_FILES
    if arguments.connections > allowed:
        parser.error(f"the system allows this process {allowed} connections (ulimit -Hn)")

    def report(text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    tls = ssl._create_unverified_context() if arguments.tls else None
    before = resident(arguments.pid) if arguments.pid else 0
    crowd: list[socket.socket] = []
    failed: OSError | None = None
    refused = 0
    began = time.monotonic()
    sources = itertools.cycle(addresses(arguments.addresses))
    for source in itertools.islice(sources, arguments.connections):
        try:
            crowd.append(connect(arguments.host, arguments.port, source, tls))
        except OSError as error:
            refused, failed = refused + 1, error
    took = time.monotonic() - began
    report(f"{len(crowd)} connections answered in {took:.1f} s, {refused} not")
    if failed:
        report(f"the last error: {failed}")
    time.sleep(arguments.hold)
    lost = ended(crowd)
    report(f"after {arguments.hold:g} s: {len(crowd) - lost} open, {lost} closed")
    if arguments.pid and crowd and Path(f"/proc/{arguments.pid}").exists():
        after = resident(arguments.pid)
        each = (after - before) / len(crowd)
        report(
            f"the server: {before >> 20} MiB before, {after >> 20} MiB now, {each:.0f} bytes each"
        )
    return 1 if refused or lost else 0


if __name__ == "__main__":
    sys.exit(main())
