"""The socket of a udp listener: the source of replies, limits and errors."""

from __future__ import annotations

import errno
import select
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.task import Clock

from tcpd.config.listen import Address
from tcpd.net.datagram import Datagrams
from tcpd.net.datagram_port import Ancillary, DatagramPort, reply_source
from tcpd.net.sockets import bind_datagrams
from tcpd.ops.counters import ServiceCounters

PATIENCE = 10.0


class RecordingReactor(Clock):
    """Records the readers."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        if reader in self.readers:
            self.readers.remove(reader)


class DatagramHarness:
    """A port with its counters."""

    def __init__(self, sock: Any, responder: Callable[[bytes], bytes | None] | None = None) -> None:
        self.reactor = RecordingReactor()
        self.counters = ServiceCounters()
        self.server = Datagrams(
            service="test",
            responder=responder or (lambda datagram: datagram),
            counters=self.counters,
            clock=Clock(),
            rate=None,
            allows=lambda host: True,
            own_ports=set(),
        )
        self.port = DatagramPort(sock, self.server, self.reactor)
        self.port.startListening()

    @property
    def number(self) -> int:
        host: Any = self.port.getHost()
        number: int = host.port
        return number

    def turn(self) -> None:
        """Wait for a datagram and read it."""
        assert select.select([self.port], [], [], PATIENCE)[0]
        self.port.doRead()


Open = Callable[..., DatagramHarness]


@pytest.fixture
def harness() -> Iterator[Open]:
    opened: list[DatagramHarness] = []

    def at(host: str, responder: Callable[[bytes], bytes | None] | None = None) -> DatagramHarness:
        opened.append(DatagramHarness(bind_datagrams(Address(host, 0)), responder))
        return opened[-1]

    yield at
    for each in opened:
        each.port.stopListening()


def request(harness: DatagramHarness, host: str) -> bytes:
    """Send a request from a connected socket, which receives only from its peer."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.connect((host, harness.number))
        client.send(host.encode())
        harness.turn()
        return client.recv(1000)


@pytest.mark.parametrize(
    ("listens", "hosts"),
    [
        ("0.0.0.0", ["127.0.0.1", "127.0.0.5", "127.9.9.9"]),
        ("*", ["127.0.0.1", "127.0.0.5", "127.9.9.9", "::1", "::ffff:127.0.0.6"]),
        ("::", ["::1"]),
        ("127.0.0.5", ["127.0.0.5"]),
        ("::1", ["::1"]),
    ],
)
def test_reply_source_is_the_request_destination(
    listens: str, hosts: list[str], harness: Open
) -> None:
    """RFC 1122 section 4.1.3.5: "When a host sends a UDP datagram, the source address MUST be (one
    of) the IP address(es) of the host"."""
    port = harness(listens)
    for host in hosts:
        assert request(port, host) == host.encode()
    counters = port.counters
    assert counters.datagrams_in == counters.datagrams_out == len(hosts)
    assert counters.bytes_in == counters.bytes_out == sum(map(len, hosts))


def test_ipv6_wildcard_receives_no_ipv4(harness: Open) -> None:
    port = harness("::")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", port.number))
        client.send(b"x")
        with pytest.raises(ConnectionRefusedError):
            client.recv(10)
    assert port.counters.datagrams_in == 0


def test_port_reports_its_address_and_closes_at_once(harness: Open) -> None:
    port = harness("127.0.0.5")
    number = port.number
    assert port.port.getHost() == IPv4Address("UDP", "127.0.0.5", number)
    assert repr(port.port) == f"<DatagramPort 127.0.0.5:{number}>"
    assert port.reactor.readers == [port.port]
    closed: list[object] = []
    port.port.stopListening().addCallback(closed.append)
    assert closed == [None]
    assert port.reactor.readers == []
    bind_datagrams(Address("127.0.0.5", number)).close()
    port.port.stopListening()  # closed before
    assert repr(port.port) == "<DatagramPort closed>"
    six = harness("::")
    assert six.port.getHost() == IPv6Address("UDP", "::", six.number)


def test_datagrams_a_turn_are_bounded(harness: Open) -> None:
    port = harness("127.0.0.1", lambda datagram: None)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port.number))
        for _ in range(100):
            client.send(b"x")
        port.turn()
        assert port.counters.datagrams_in == 64
        port.turn()
    assert port.counters.datagrams_in == 100


def test_drain_queue_answers_all_queued_datagrams(harness: Open) -> None:
    port = harness("127.0.0.1", lambda datagram: None)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port.number))
        for _ in range(200):
            client.send(b"x")
        port.port.drain_queue()
    assert port.counters.datagrams_in == 200


def test_empty_and_largest_datagrams_are_answered(harness: Open) -> None:
    port = harness("127.0.0.1")
    for payload in (b"", b"x" * 65507):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(PATIENCE)
            client.connect(("127.0.0.1", port.number))
            client.send(payload)
            port.turn()
            assert client.recv(70000) == payload


def test_reply_too_long_is_counted_as_unsent(harness: Open) -> None:
    port = harness("127.0.0.1", lambda datagram: b"x" * 65508)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port.number))
        client.send(b"x")
        port.turn()
    assert port.counters.datagrams_dropped == {"unsent": 1}


class FailingDatagramSocket:
    """A socket with one datagram, and with errors."""

    def __init__(self, receiving: int | None, sending: int | None) -> None:
        self._receiving, self._sending = receiving, sending
        self.waiting = 1

    def getsockname(self) -> tuple[str, int]:
        return ("127.0.0.1", 7)

    def recvmsg_into(self, buffers: list[bytearray], room: int) -> Any:
        if self._receiving is not None:
            error, self._receiving = self._receiving, None
            raise OSError(error, "an error of the last answer")
        if not self.waiting:
            raise BlockingIOError
        self.waiting -= 1
        buffers[0][:1] = b"x"
        return 1, [], 0, ("192.0.2.1", 4711)

    def sendmsg(self, *_: Any) -> None:
        if self._sending is not None:
            raise OSError(self._sending, "it cannot be sent")

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "error",
    [
        errno.EAGAIN,
        errno.ENETUNREACH,
        errno.ECONNREFUSED,
        errno.EACCES,  # a broadcast address
        errno.EPERM,  # a packet filter
        errno.EMSGSIZE,
        errno.EINVAL,  # an address removed from the interface
        errno.ENOBUFS,
    ],
)
def test_send_error_is_counted_and_not_raised(error: int) -> None:
    harness = DatagramHarness(FailingDatagramSocket(None, error))
    harness.port.doRead()
    counters = harness.counters
    assert counters.datagrams_dropped == {"unsent": 1}
    assert counters.datagrams_out == counters.bytes_out == 0


def test_icmp_error_is_ignored() -> None:
    harness = DatagramHarness(FailingDatagramSocket(errno.ECONNREFUSED, None))
    harness.port.doRead()
    assert harness.counters.datagrams_out == 1


def test_lack_of_memory_pauses_reading() -> None:

    class WithoutMemory(FailingDatagramSocket):
        def recvmsg_into(self, buffers: list[bytearray], room: int) -> Any:
            raise MemoryError

    harness = DatagramHarness(WithoutMemory(None, None))
    harness.port.doRead()
    assert harness.reactor.readers == []
    harness.reactor.advance(1.0)
    assert harness.reactor.readers == [harness.port]
    harness.port.doRead()
    harness.port.stopListening()
    harness.reactor.advance(1.0)
    assert harness.reactor.readers == []


IPV4 = (socket.IPPROTO_IP, 8)
IPV6 = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO)


def packed(host: str, index: int) -> bytes:
    return socket.inet_pton(socket.AF_INET6, host) + index.to_bytes(4, sys.byteorder)


def packed4(index: int, local: str, destination: str) -> bytes:
    return b"".join(
        [index.to_bytes(4, sys.byteorder), socket.inet_aton(local), socket.inet_aton(destination)]
    )


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        ([], []),
        # a broadcast to 192.0.2.255 on an interface that has 192.0.2.1
        (
            [(*IPV4, packed4(3, "192.0.2.1", "192.0.2.255"))],
            [(*IPV4, packed4(0, "192.0.2.1", "0.0.0.0"))],
        ),
        # the same on a dual-stack socket, in both orders
        (
            [
                (*IPV6, packed("::ffff:192.0.2.255", 3)),
                (*IPV4, packed4(3, "192.0.2.1", "192.0.2.255")),
            ],
            [(*IPV4, packed4(0, "192.0.2.1", "0.0.0.0"))],
        ),
        ([(*IPV6, packed("2001:db8::1", 3))], [(*IPV6, packed("2001:db8::1", 0))]),
        # RFC 4007 section 6: a link-local address needs its zone
        ([(*IPV6, packed("fe80::1", 3))], [(*IPV6, packed("fe80::1", 3))]),
        ([(*IPV6, packed("febf::1", 3))], [(*IPV6, packed("febf::1", 3))]),
        # a multicast address is no source (RFC 4291 section 2.7)
        ([(*IPV6, packed("ff02::1", 3))], [(*IPV6, packed("::", 3))]),
        ([(*IPV4, b"short")], []),
        ([(*IPV6, b"short")], []),
        ([(socket.SOL_SOCKET, 1, b"something else")], []),
    ],
)
def test_reply_source(received: Ancillary, expected: Ancillary) -> None:
    assert reply_source(received) == expected


@given(
    st.lists(st.tuples(st.sampled_from([0, 41]), st.sampled_from([8, 50]), st.binary(max_size=24)))
)
def test_reply_source_never_raises(received: Ancillary) -> None:
    assert len(reply_source(received)) <= 1
