"""Discard, RFC 863."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.testing import StringTransport

from tcpd.small.discard import DiscardFactory, answer


@given(st.lists(st.binary(max_size=50)))
def test_no_response(pieces: list[bytes]) -> None:
    """RFC 863: "Once a connection is established any data received is thrown away. No response is
    sent"."""
    protocol = DiscardFactory().buildProtocol(None)
    transport = StringTransport()
    protocol.makeConnection(transport)
    for piece in pieces:
        protocol.dataReceived(piece)
    assert transport.value() == b""
    assert not transport.disconnecting


def test_no_response_to_a_datagram() -> None:
    """RFC 863: "When a datagram is received, it is thrown away. No response is sent"."""
    assert answer(b"hello") is None  # type: ignore[func-returns-value]
