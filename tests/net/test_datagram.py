"""Datagrams: which sources get replies, and at which rate."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from tcpd.config.values import Rate
from tcpd.net.datagram import Datagrams, Drop, source_key
from tcpd.ops.counters import ServiceCounters

CLIENT = ("192.0.2.1", 40000)
OWN_PORT = 7007


def echo(datagram: bytes) -> bytes:
    return datagram


class DatagramListener:
    """A listener without a socket; all replies can be sent."""

    def __init__(
        self,
        responder: Callable[[bytes], bytes | None] = echo,
        rate: Rate | None = None,
        capacity: int = 100,
    ) -> None:
        self.clock = Clock()
        self.counters = ServiceCounters()
        self.own_ports: set[int] = set()
        self.shut_out: set[str] = set()
        self.protocol = Datagrams(
            service="test",
            responder=responder,
            counters=self.counters,
            clock=self.clock,
            rate=rate,
            allows=lambda host: host not in self.shut_out,
            own_ports=self.own_ports,
            capacity=capacity,
        )
        self.protocol.opened(OWN_PORT)

    def receive(self, datagram: bytes, addr: tuple[str, int] = CLIENT) -> bytes | None:
        """Receive a datagram and return the reply."""
        answer = self.protocol.received(datagram, addr)
        if answer is not None:
            self.protocol.sent(len(answer))
        return answer

    @property
    def dropped(self) -> dict[str, int]:
        return dict(self.counters.datagrams_dropped)

    def check_sum(self) -> None:
        """Assert that each datagram is counted as answered or dropped."""
        counters = self.counters
        dropped = counters.datagrams_dropped.total()
        assert counters.datagrams_in == counters.datagrams_out + dropped


def test_reply_is_returned_and_counted() -> None:
    listener = DatagramListener()
    assert listener.receive(b"hello") == b"hello"
    counters = listener.counters
    assert (counters.datagrams_in, counters.datagrams_out) == (1, 1)
    assert (counters.bytes_in, counters.bytes_out) == (5, 5)
    assert listener.dropped == {}


def test_empty_reply_is_sent() -> None:
    assert DatagramListener().receive(b"") == b""


def test_datagram_without_reply_is_counted() -> None:
    listener = DatagramListener(responder=lambda datagram: None)
    assert listener.receive(b"hello") is None
    assert listener.dropped == {"no-answer": 1}


@pytest.mark.parametrize("port", [0, 7, 9, 11, 13, 17, 19, 37, 53, 69, 123, 1023])
def test_source_ports_of_services_get_no_reply(port: int) -> None:
    """CERT advisory CA-1996-01: "When a connection is established between two UDP services, each of
    which produces output, these two services can produce a very high number of packets"."""
    listener = DatagramListener()
    assert listener.receive(b"hello", ("192.0.2.1", port)) is None
    assert listener.dropped == {Drop.PORT: 1}


def test_own_ports_get_no_reply_even_if_opened_later() -> None:
    listener = DatagramListener()
    assert listener.receive(b"x", ("127.0.0.1", OWN_PORT)) is None
    assert listener.receive(b"x", ("127.0.0.1", 7019)) == b"x"
    listener.own_ports.add(7019)
    assert listener.receive(b"x", ("127.0.0.1", 7019)) is None
    assert listener.dropped == {Drop.PORT: 2}


@pytest.mark.parametrize(
    "host",
    [
        "224.0.0.1",
        "239.255.255.250",
        "255.255.255.255",
        "240.0.0.1",
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "ff02::1",
        "ff02::1%eth0",
        "::ffff:224.0.0.1",
        "::ffff:255.255.255.255",
        "not an address",
        "",
    ],
)
def test_invalid_source_address_gets_no_reply(host: str) -> None:
    """RFC 1122 section 3.2.1.3: "A host MUST silently discard an incoming datagram containing an IP
    source address that is invalid by the rules of this section"."""
    listener = DatagramListener()
    assert listener.receive(b"x", (host, 40000)) is None
    assert listener.dropped == {Drop.ADDRESS: 1}


def test_denied_address_gets_no_reply_and_takes_no_token() -> None:
    listener = DatagramListener(rate=Rate(1.0, 1))
    listener.shut_out.add(CLIENT[0])
    assert listener.receive(b"x") is None
    assert listener.dropped == {Drop.DENIED: 1}
    listener.shut_out.clear()
    assert listener.receive(b"x") == b"x"
    listener.check_sum()


def test_source_key() -> None:
    assert source_key("::ffff:192.0.2.1") == source_key("192.0.2.1")
    assert source_key("192.0.2.1") != source_key("192.0.2.2")
    assert source_key("2001:db8:0:1::1") == source_key("2001:db8:0:1:ffff::2")
    assert source_key("2001:db8:0:1::1") != source_key("2001:db8:0:2::1")
    assert source_key("fe80::1%eth0") == source_key("fe80::2")
    assert source_key("127.0.0.1") is not None
    assert source_key("::1") is not None


def test_address_is_rate_limited() -> None:
    listener = DatagramListener(lambda datagram: b"long answer", rate=Rate(1, 5))
    answers = [listener.receive(b"", ("192.0.2.1", 40000 + n)) for n in range(8)]
    assert answers == [b"long answer"] * 5 + [None] * 3
    assert listener.dropped == {Drop.RATE: 3}
    assert listener.receive(b"", ("192.0.2.2", 40000)) == b"long answer"
    listener.clock.advance(1)
    assert listener.receive(b"") == b"long answer"
    assert listener.receive(b"") is None


def test_ipv4_mapped_address_shares_the_rate_of_ipv4() -> None:
    listener = DatagramListener(rate=Rate(1, 1))
    assert listener.receive(b"x", ("::ffff:192.0.2.1", 40000)) == b"x"
    assert listener.receive(b"x", ("192.0.2.1", 40000)) is None


def test_replies_to_a_flood_of_forged_addresses_are_bounded() -> None:
    listener = DatagramListener(rate=Rate(1, 5), capacity=50)
    for number in range(5000):
        host = f"198.{18 + number % 2}.{number // 250}.{number % 250}"
        listener.receive(b"x", (host, 40000))
    assert listener.counters.datagrams_out == 50 + 5
    listener.check_sum()


def test_loop_between_two_listeners_ends() -> None:
    """The loop of CVE-1999-0103, at unprivileged ports."""
    one, other = DatagramListener(rate=Rate(20, 100)), DatagramListener(rate=Rate(20, 100))
    at_one, at_other = ("192.0.2.1", 5001), ("192.0.2.2", 5002)
    datagram: bytes | None = b"ping"
    rounds = 0
    while datagram is not None:
        rounds += 1
        one.clock.advance(0.005)
        other.clock.advance(0.005)
        datagram = one.receive(datagram, at_other)
        if datagram is not None:
            datagram = other.receive(datagram, at_one)
    assert rounds < 150


def test_responder_exception_is_logged_once_and_drops_the_datagram(
    logged_failures,
) -> None:
    def responder(datagram: bytes) -> bytes:
        if datagram == b"bad":
            raise RuntimeError("cannot answer this")
        return datagram

    listener = DatagramListener(responder)
    assert listener.receive(b"bad") is None
    assert listener.receive(b"bad") is None
    assert listener.receive(b"good") == b"good"
    logged_failures.expect("cannot answer this", 1)
    assert listener.dropped == {Drop.FAILED: 2}


@given(
    st.lists(
        st.tuples(
            st.binary(max_size=50),
            st.one_of(
                st.ip_addresses().map(str),
                st.sampled_from(["::ffff:10.0.0.1", "fe80::1%2", "", "<broadcast>"]),
            ),
            st.integers(0, 65535),
        ),
        max_size=30,
    )
)
def test_each_datagram_is_answered_or_counted(
    datagrams: list[tuple[bytes, str, int]],
) -> None:
    listener = DatagramListener(rate=Rate(1, 2), capacity=3)
    for payload, host, port in datagrams:
        listener.receive(payload, (host, port))
    listener.check_sum()
