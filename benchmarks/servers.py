"""Servers: tcpd in several configurations, and its peers."""

from __future__ import annotations

import importlib.util
import ipaddress
import json
import shutil
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import beside
from benchmarks.ground import HERE, Ground, Skipped, free_port
from benchmarks.process import Child

#: Timeout in seconds of a start.
_PATIENCE = 30.0

Commands = Sequence[Sequence[str]]

_TWISTD = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n"]

# counters, limits and timeouts are enabled, with bounds that the load does not reach
_INI = """\
[tcpd]
server_name = bench
connections = 1000000
control = none
{tcpd}
[policy:default]
connections = 1000000
per_address = 1000000
{policy}

[chat]
max_members = 1000000
outbox = 16MiB

{tls}
[service:bench]
protocol = {protocol}
listen = 127.0.0.1:{port}{words}
{keys}
"""

# all keys of a policy, which refuse no client of the load, since it is in 127.0.0.0/8
_ALL_POLICY = """\
allow = 127.0.0.0/8, ::1, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fd00::/8
deny = 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24, 2001:db8::/32
connection_rate = 1000000/s burst 1000000
address_rate = 1000000/s burst 1000000
idle = 30s
first_byte = 10s
session = 1h
stalled = 30s
handshake = 5s
unsent = 64MiB
linger = 5s
"""

#: Keys that turn off rate limits, by protocol.
_UNTHROTTLED = {
    "chat": "rate = none\n",
    "irc": "rate = none\njoin_rate = none\nnick_rate = none\n",
    # the chat page's clients are those of an IRC service
    "web": "streams = 1000\n[service:irc]\nprotocol = irc\nrate = none\nlisten = 127.0.0.1:0\n",
}

#: Bans in addition: addresses, and networks of several prefix lengths.
_BANNED_ADDRESSES = 1000
_BANNED_NETWORKS = ("192.0.2.0/24", "198.18.0.0/15", "2001:db8::/32", "2001:db8:1::/64")

_XINETD = """\
defaults
{{
    instances = UNLIMITED
    per_source = UNLIMITED
    cps = 1000000 1
}}
service echo
{{
    type = INTERNAL UNLISTED
    id = echo-stream
    socket_type = stream
    protocol = tcp
    wait = no
    bind = 127.0.0.1
    port = {port}
}}
"""

_HAPROXY = """\
global
    maxconn 9000
    nbthread 1
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen echo
    bind 127.0.0.1:{port}{words}
    server echo 127.0.0.1:{behind}
"""


_NGIRCD = """\
[Global]
    Name = bench.example
    Info = bench
    Listen = 127.0.0.1
    Ports = {port}
[Limits]
    MaxConnections = 0
    MaxConnectionsIP = 0
    MaxJoins = 0
    MaxPenaltyTime = 0
    PingTimeout = 600
    PongTimeout = 600
[Options]
    DNS = no
    Ident = no
    PAM = no
    SyslogFacility = local1
"""

_INSPIRCD = """\
<server name="bench.example" description="bench" network="bench" id="001">
<admin name="bench" nick="bench" email="bench@bench.example">
<bind address="127.0.0.1" port="{port}" type="clients">
<connect allow="*" timeout="60" pingfreq="10m" hardsendq="64M" softsendq="64M" recvq="1M"
    threshold="1000000" commandrate="1000000000" fakelag="no" localmax="1000000"
    globalmax="1000000" useident="no" resolvehostnames="no" limit="1000000" maxchans="100"
    useconnectban="no" useconnflood="no">
<performance quietbursts="yes" somaxconn="4096" netbuffersize="65534" timeskipwarn="0">
<options defaultmodes="nt" moronbanner="bye">
<pid file="{pid}">
<path configdir="{directory}" datadir="{directory}" logdir="{directory}">
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A server to measure.

    :ivar name: as in the tables.
    :ivar kinds: the services that it supports: echo, line, tls (an echo), chat or irc.
    :ivar commands: returns the command lines to serve a kind on a port, or raises Skipped.
    :ivar most: maximum number of connections of a load.
    :ivar load: arguments of the load that differ for it, by name of the case.
    """

    name: str
    kinds: frozenset[str]
    commands: Callable[[Ground, str, int], Commands]
    most: int = 1_000_000
    load: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


class Running:
    """A running server that accepts connections.

    :ivar server: the server.
    :ivar started: seconds from its start to the first connection.
    :raise Skipped: if it does not start.
    """

    def __init__(self, server: Server, ground: Ground, kind: str) -> None:
        self.server = server
        self.name = server.name
        self.port = free_port()
        self._children: list[Child] = []
        commands = server.commands(ground, kind, self.port)
        begun = time.monotonic()
        try:
            for command in commands:
                self._children.append(
                    Child(command, ground.server_core, ground.directory, ground.variables)
                )
            self._await(begun + _PATIENCE)
        except BaseException:
            self.end()
            raise
        self.started = time.monotonic() - begun

    @property
    def pid(self) -> int:
        """The process id of its first process."""
        return self._children[0].process.pid

    def cpu(self) -> float:
        """Return the CPU time in seconds."""
        return sum(child.cpu() for child in self._children)

    def waited(self) -> float:
        """Return the seconds for which it was runnable, but other processes had its core."""
        return sum(child.waited() for child in self._children)

    def memory(self) -> int:
        """Return the resident memory in bytes."""
        return sum(child.memory() for child in self._children)

    def end(self) -> None:
        """Stop all its processes."""
        for child in self._children:
            child.end()

    def _await(self, until: float) -> None:
        while True:
            for child in self._children:
                if child.process.poll() is not None or time.monotonic() > until:
                    raise Skipped(f"{self.name} does not start: {child.output}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1.0).close()
            except OSError:
                time.sleep(0.002)
            else:
                return


def _python(script: str, kind: str, port: int, *more: str) -> Commands:
    return [[sys.executable, str(HERE / "peers" / script), kind, str(port), *more]]


def _stock(ground: Ground, kind: str, port: int) -> Commands:
    return _python("stock.py", kind, port, *([ground.pem] if kind == "tls" else []))


def _bare(ground: Ground, kind: str, port: int) -> Commands:
    if sys.platform != "linux":
        raise Skipped("its reactor requires epoll")
    return _python("lean.py", kind, port)


def _loop(name: str) -> Callable[[Ground, str, int], Commands]:
    def commands(ground: Ground, kind: str, port: int) -> Commands:
        if importlib.util.find_spec(name) is None:
            raise Skipped(f"{name} is not installed (pip install {name})")
        return _python("loops.py", name, port, *([ground.pem] if kind == "tls" else []))

    return commands


def _bans(directory: Path) -> None:
    """Write a file with many bans to a state directory."""
    addresses = [str(ipaddress.IPv4Address("100.64.0.1") + n) for n in range(_BANNED_ADDRESSES)]
    bans = [
        {"network": network, "since": 0, "until": None, "reason": "", "by": "benchmark"}
        for network in (*addresses, *_BANNED_NETWORKS)
    ]
    directory.mkdir(mode=0o700, exist_ok=True)  # exists if a port is used again
    (directory / "bans.json").write_text(json.dumps({"version": 1, "bans": bans}))


def _tcpd(*twistd: str, policy: str = "", tcpd: str = "") -> Callable[[Ground, str, int], Commands]:
    def commands(ground: Ground, kind: str, port: int) -> Commands:
        ini = ground.directory / f"tcpd-{port}.ini"
        state = ground.directory / f"tcpd-{port}.state"
        if policy:
            _bans(state)
        ini.write_text(
            _INI.format(
                tcpd=f"{tcpd}state = {state}\n" if policy else tcpd,
                policy=policy,
                port=port,
                protocol="echo" if kind == "tls" else kind,
                words=" tls=bench" if kind == "tls" else "",
                tls=f"[tls:bench]\ncertificate = {ground.pem}\n" if kind == "tls" else "",
                keys=_UNTHROTTLED.get(kind, ""),
            )
        )
        return [[*_TWISTD, "--pidfile=", *twistd, "tcpd", "--config", str(ini)]]

    return commands


def with_defaults(ports: dict[str, int]) -> Server:
    """Return tcpd with default limits and the services for :mod:`benchmarks.beside`.

    :param ports: ports by service, filled in at the start.
    """

    def commands(ground: Ground, kind: str, port: int) -> Commands:
        def choose(service: str) -> int:
            ports[service] = port if service == "echo" else free_port()
            return ports[service]

        text = "[tcpd]\nserver_name = bench\ncontrol = none\n"
        text += beside.config(choose, Path(ground.pem), None, ground.directory / f"far-{port}")
        config = _write(ground, f"tcpd-{port}.ini", text)
        return [[*_TWISTD, "--pidfile=", "tcpd", "--config", config]]

    return Server("tcpd, default limits", _ECHO, commands)


def _c(ground: Ground, kind: str, port: int) -> Commands:
    return [[ground.build("peers/hub.c" if kind == "chat" else "peers/echo.c"), str(port)]]


def _find(program: str, package: str) -> str:
    found = shutil.which(program, path="/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin")
    if found is None:
        raise Skipped(f"{program} is not installed (Debian's package {package})")
    return found


def _write(ground: Ground, name: str, text: str) -> str:
    path: Path = ground.directory / name
    path.write_text(text)
    return str(path)


def _xinetd(ground: Ground, kind: str, port: int) -> Commands:
    program = _find("xinetd", "xinetd")
    config = _write(ground, f"xinetd-{port}.conf", _XINETD.format(port=port))
    pidfile = str(ground.directory / f"xinetd-{port}.pid")
    return [[program, "-dontfork", "-f", config, "-pidfile", pidfile]]


def _ngircd(ground: Ground, kind: str, port: int) -> Commands:
    program = _find("ngircd", "ngircd")
    config = _write(ground, f"ngircd-{port}.conf", _NGIRCD.format(port=port))
    return [[program, "-n", "-f", config]]


def _inspircd(ground: Ground, kind: str, port: int) -> Commands:
    program = _find("inspircd", "inspircd")
    pid = ground.directory / f"inspircd-{port}.pid"
    text = _INSPIRCD.format(port=port, pid=pid, directory=ground.directory)
    config = _write(ground, f"inspircd-{port}.conf", text)
    return [[program, "--nofork", "--nolog", "--runasroot", f"--config={config}"]]


def _haproxy(ground: Ground, kind: str, port: int) -> Commands:
    program = _find("haproxy", "haproxy")
    behind = free_port()
    words = f" ssl crt {ground.pem}" if kind == "tls" else ""
    text = _HAPROXY.format(port=port, behind=behind, words=words)
    config = _write(ground, f"haproxy-{port}.cfg", text)
    return [*_c(ground, kind, behind), [program, "-db", "-q", "-f", config]]


def _forward(ground: Ground, kind: str, port: int) -> Commands:
    behind = free_port()
    text = _INI.format(
        tcpd="",
        policy="",
        port=port,
        protocol="forward",
        words=" tls=bench" if kind == "tls" else "",
        tls=f"[tls:bench]\ncertificate = {ground.pem}\n" if kind == "tls" else "",
        keys=f"to = 127.0.0.1:{behind}\n",
    )
    config = _write(ground, f"forward-{port}.ini", text)
    return [*_c(ground, kind, behind), [*_TWISTD, "--pidfile=", "tcpd", "--config", config]]


_ECHO = frozenset({"echo"})
_ECHOES = frozenset({"echo", "tls"})
_ALL = frozenset({"echo", "line", "tls", "chat", "irc"})
_IRC = frozenset({"irc"})

STOCK = "stock Twisted"
BARE = "lean, no policy"
TCPD = "tcpd"

#: In the order of the tables.
SERVERS = (
    Server(STOCK, frozenset({"echo", "line", "tls"}), _stock),
    Server(BARE, _ECHO, _bare),
    Server(TCPD, _ALL, _tcpd()),
    Server("tcpd, all policy", _ALL, _tcpd(policy=_ALL_POLICY)),
    Server(
        "tcpd, all policy, access log",
        _ALL,
        _tcpd(policy=f"{_ALL_POLICY}access_log = yes\n"),
    ),
    Server("tcpd, handshake = no", _ALL, _tcpd(tcpd="handshake = no\n")),
    Server("tcpd, --reactor=epoll", _ALL, _tcpd("--reactor=epoll")),
    Server("uvloop Protocol", _ECHOES, _loop("uvloop")),
    Server("asyncio Protocol", _ECHOES, _loop("asyncio")),
    Server("C, epoll", frozenset({"echo", "chat"}), _c),
    Server("ngIRCd", _IRC, _ngircd),
    Server("InspIRCd", _IRC, _inspircd),
    # A process for each connection, so few connections. xinetd looks up the name of each address:
    # one source address in /etc/hosts, or look-ups would be measured.
    Server("xinetd", _ECHO, _xinetd, most=100, load={"connect": {"sources": 1}}),
    Server("HAProxy before C", _ECHOES, _haproxy, most=5000),
    Server("tcpd before C", _ECHOES, _forward, most=5000),
)
