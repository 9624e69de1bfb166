"""Independent views of a handshake (tcpdump, ss), and a veth pair between network namespaces."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

import pytest
from running import PATIENCE

_CLONE_NEWNET = 0x40000000

_NET = "/run/netns"


def need(*programs: str) -> None:
    """Skip the test unless these programs are installed."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def run(*words: str) -> str:
    """Run a program that must succeed; return its output."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Packet:
    """A packet as tcpdump prints it; ``None`` for what it does not print."""

    source_mac: str | None
    destination_mac: str | None
    ttl: int
    source: str
    destination: str
    flags: str
    seq: int
    ack: int | None
    window: int
    mss: int | None
    sack: bool
    timestamp: int | None
    echo: int | None
    wscale: int | None

    @classmethod
    def parse(cls, text: str) -> Packet:
        def found(pattern: str) -> str | None:
            match = re.search(pattern, text)
            return match and match[1]

        def number(pattern: str) -> int | None:
            text = found(pattern)
            return None if text is None else int(text)

        mac = r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}"
        ends = re.search(r"(\S+)\.(\d+) > (\S+)\.(\d+): Flags", text)
        assert ends is not None, text
        ttl, seq = number(r"(?:ttl|hlim) (\d+)"), number(r"seq (\d+)")
        window = number(r"win (\d+)")
        assert ttl is not None
        assert window is not None
        return cls(
            source_mac=found(rf"({mac}) > {mac}"),
            destination_mac=found(rf"{mac} > ({mac})"),
            ttl=ttl,
            source=_end(ends[1], ends[2]),
            destination=_end(ends[3], ends[4]),
            flags=found(r"Flags \[([^\]]*)\]") or "",
            seq=-1 if seq is None else seq,  # tcpdump prints none for an ACK without data
            ack=number(r" ack (\d+)"),
            window=window,
            mss=number(r"mss (\d+)"),
            sack="sackOK" in text,
            timestamp=number(r"TS val (\d+)"),
            echo=number(r"ecr (\d+)"),
            wscale=number(r"wscale (\d+)"),
        )


def _end(host: str, port: str) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Capture:
    """tcpdump on an interface, for the handshakes of one port."""

    def __init__(self, interface: str, port: int) -> None:
        # -S: absolute sequence numbers; -l and --immediate-mode: no buffering
        options = ["-i", interface, "-n", "-e", "-vv", "-S", "-l", "--immediate-mode"]
        self._process = subprocess.Popen(
            ["tcpdump", *options, f"tcp port {port}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._timer = threading.Timer(PATIENCE, self._process.kill)
        self._timer.start()
        assert self._process.stderr is not None
        line = ""
        while "listening on" not in line:
            line = self._process.stderr.readline()
            assert line, "tcpdump has exited"

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._timer.cancel()

    def handshake(self, client: str) -> tuple[Packet, Packet, Packet]:
        """Return the first three packets of a client's connection: SYN, SYN-ACK, ACK.

        Packets captured on two processors may be printed out of order.
        """
        assert self._process.stdout is not None
        packets: dict[str, Packet] = {}
        text = ""
        while not {"S", "S.", "."} <= packets.keys():
            line = self._process.stdout.readline()
            assert line, f"tcpdump has exited after {packets}"
            text = f"{text} {line}"
            if "Flags" in line:
                packet = Packet.parse(text)
                text = ""
                theirs = packet.source == client
                if theirs or (packet.destination == client and packet.flags != "."):
                    packets.setdefault(packet.flags, packet)
        return packets["S"], packets["S."], packets["."]


def ss(client: str) -> dict[str, str]:
    """Return the fields of ``ss -ti`` for the server's end; ``cc`` is the congestion control."""
    printed = run("ss", "-tinH", "-O", "state", "established", "dst", client)
    assert printed.count("\n") == 1, printed
    _, _, _, _, algorithm, *words = printed.split()
    pairs = (word.partition(":") for word in words)
    return {"cc": algorithm, **{name: value for name, colon, value in pairs if colon}}


class VethPair:
    """A veth pair: the server's end in this network namespace, the client's in a new one.

    :ivar here: name of the server's interface.
    :ivar there: name of the client's interface.
    :ivar space: name of the client's namespace.
    """

    def __init__(self) -> None:
        if os.geteuid() != 0:
            pytest.skip("network namespaces require root")
        need("ip", "nft", "tcpdump", "ss")
        # names and networks by process id: tests run in parallel; networks reserved by RFC 2544
        # and RFC 4193
        pid = os.getpid()
        self.space = f"tcpd-{pid}"
        self.here, self.there = f"td{pid}a", f"td{pid}b"
        network = int(IPv4Address("198.18.0.0")) + (pid << 2) % (1 << 17)
        prefix = f"fd83:{pid >> 16:x}:{pid & 0xFFFF:x}:"
        self._server = {4: str(IPv4Address(network + 1)), 6: f"{prefix}:1"}
        self._client = {4: str(IPv4Address(network + 2)), 6: f"{prefix}:2"}
        made = subprocess.run(["ip", "netns", "add", self.space], capture_output=True, check=False)
        if made.returncode != 0:
            pytest.skip(f"no network namespace can be made: {made.stderr.decode()}")

    def connect_up(self) -> None:
        """Make the pair, and assign addresses to both ends."""
        run("ip", "link", "add", self.here, "type", "veth", "peer", self.there, "netns", self.space)
        for version in (4, 6):
            length = 30 if version == 4 else 64
            nodad = ["nodad"] if version == 6 else []
            ours, theirs = f"{self._server[version]}/{length}", f"{self._client[version]}/{length}"
            run("ip", "addr", "add", ours, "dev", self.here, *nodad)
            self.inside("ip", "addr", "add", theirs, "dev", self.there, *nodad)
        run("ip", "link", "set", self.here, "up")
        self.inside("ip", "link", "set", self.there, "up")

    def inside(self, *words: str) -> str:
        """Run a program in the client's namespace."""
        return run("ip", "netns", "exec", self.space, *words)

    def address_inside(self, version: int) -> str:
        """Return the address of the client's end, as a URL has it."""
        return f"[{self._client[6]}]" if version == 6 else self._client[4]

    def mac(self, inside: bool) -> str:
        """Return the MAC address of the client's interface, or of the server's."""
        show = ["cat", f"/sys/class/net/{self.there if inside else self.here}/address"]
        return (self.inside(*show) if inside else run(*show)).strip()

    def connect(self, port: int, version: int) -> socket.socket:
        """Connect to the server's end from the client's namespace."""
        address = (self._server[version], port)
        return self.make_inside(lambda: socket.create_connection(address, PATIENCE))

    def make_inside(self, make: Callable[[], socket.socket]) -> socket.socket:
        """Make a socket in the client's namespace, and return it."""
        made: list[Any] = []

        def run() -> None:
            try:
                # setns(2) moves this thread only; a socket keeps the namespace it was made in
                with open(f"{_NET}/{self.space}") as space:
                    if ctypes.CDLL(None, use_errno=True).setns(space.fileno(), _CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")
                made.append(make())
            except OSError as error:
                made.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join(PATIENCE)
        (result,) = made
        if isinstance(result, OSError):
            raise result
        connected: socket.socket = result
        return connected

    def index_inside(self, interface: str) -> int:
        """Return the index of an interface in the client's namespace."""
        return int(self.inside("cat", f"/sys/class/net/{interface}/ifindex"))

    def more_addresses(self) -> list[str]:
        """Assign two more addresses of each family to the server's end.

        :return: all its addresses as the client connects to them: the link-local one with the
            client's interface as its scope.
        """
        network = int(IPv4Address(self._server[4])) & ~3
        for version in (4, 6):
            for number in (1, 2):
                more = self._extra(version, number, network)
                length, nodad = (32, []) if version == 4 else (64, ["nodad"])
                run("ip", "addr", "replace", f"{more}/{length}", "dev", self.here, *nodad)
                if version == 4:
                    self.inside("ip", "route", "replace", f"{more}/32", "dev", self.there)
        # bind(2) fails while the kernel looks for duplicates of a link-local address
        show = ["ip", "-6", "-o", "addr", "show", "tentative", "dev"]
        end = time.monotonic() + PATIENCE
        while run(*show, self.here) or self.inside(*show, self.there):
            assert time.monotonic() < end, "an address stays tentative"
            time.sleep(0.05)
        text = run("ip", "-o", "addr", "show", "dev", self.here)
        found = re.findall(r"inet6? ([^/ ]+)/", text)
        return [f"{each}%{self.there}" if each.startswith("fe80") else each for each in found]

    def _extra(self, version: int, number: int, network: int) -> str:
        if version == 6:
            return f"{self._server[6]}0{number}"
        return str(IPv4Address(network + (1 << 17) + number))

    def close(self) -> None:
        """Delete the veth pair and the namespace."""
        subprocess.run(["ip", "link", "del", self.here], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "del", self.space], capture_output=True, check=False)
