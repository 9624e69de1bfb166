"""Echo, RFC 862."""

from __future__ import annotations

from typing import Any

import pytest
from flow_control import LimitedTransport
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from tcpd.interfaces import IFarewell
from tcpd.policy.reasons import End
from tcpd.small.echo import Echo, EchoFactory, answer


def connected(transport: StringTransport | None = None) -> tuple[Any, Any]:
    transport = transport or StringTransport()
    protocol = EchoFactory().buildProtocol(None)
    protocol.makeConnection(transport)
    return protocol, transport


@given(st.lists(st.binary(max_size=50)))
def test_data_is_echoed(pieces: list[bytes]) -> None:
    """RFC 862: "Once a connection is established any data received is sent back"."""
    protocol, transport = connected()
    for piece in pieces:
        protocol.dataReceived(piece)
    assert transport.value() == b"".join(pieces)
    assert not transport.disconnecting


@given(st.binary())
def test_datagram_is_echoed(datagram: bytes) -> None:
    """RFC 862: "When a datagram is received, the data from it is sent back in an answering
    datagram"."""
    assert answer(datagram) == datagram


def test_interfaces() -> None:
    verifyObject(IHalfCloseableProtocol, Echo())
    verifyObject(IFarewell, Echo())


def test_full_send_buffer_pauses_reading() -> None:
    protocol, transport = connected(LimitedTransport())
    received = 0
    while transport.producerState == "producing":
        protocol.dataReceived(bytes(4096))
        received += 4096
        assert received <= 2 * transport.limit
    assert transport.send_all() == bytes(received)
    assert transport.producerState == "producing"


def test_half_closed_client_gets_all_data() -> None:
    """With a registered producer, loseConnection would wait forever."""
    protocol, transport = connected()
    protocol.dataReceived(b"hi")
    protocol.readConnectionLost()
    assert transport.value() == b"hi"
    assert transport.producer is None
    assert transport.disconnecting
    protocol.writeConnectionLost()
    protocol.connectionLost(Failure(ConnectionDone()))


def test_farewell_unregisters_the_producer() -> None:
    protocol, transport = connected()
    assert protocol.farewell(End.SHUTDOWN) == b""
    assert transport.producer is None
    protocol.readConnectionLost()
    assert transport.disconnecting


@pytest.mark.parametrize("error", [ConnectionDone(), ConnectionLost()])
def test_connection_lost_while_paused(error: Exception) -> None:
    """No method of the closed transport is called."""
    protocol, transport = connected(LimitedTransport())
    protocol.dataReceived(bytes(100_000))
    assert transport.producerState == "paused"
    transport.producer = None  # as transports do before they notify the protocol
    protocol.connectionLost(Failure(error))
    assert protocol.farewell(End.LOST) == b""
