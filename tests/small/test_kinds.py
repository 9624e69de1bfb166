"""All six small kinds."""

from __future__ import annotations

from importlib import import_module

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.testing import StringTransport
from zope.interface.verify import verifyObject

from tcpd.config.fields import options_of
from tcpd.interfaces import IDatagramKind
from tcpd.small.udprate import LONGER, NOT_LONGER

PORTS = {"echo": 7, "discard": 9, "daytime": 13, "qotd": 17, "chargen": 19, "time": 37}
NEVER_LONGER = ("echo", "discard", "chargen")
ANNOUNCED = ("daytime", "qotd", "time")

kinds = pytest.mark.parametrize("name", PORTS)


def kind_of(name: str):
    return import_module(f"tcpd.small.{name}").kind


@kinds
def test_provides_ikind(name: str, context) -> None:
    kind = kind_of(name)
    verifyObject(IDatagramKind, kind)
    assert kind.name == name
    assert kind.sample_listen == f"127.0.0.1:{7000 + PORTS[name]}"
    assert kind.words == {"udp"}
    assert kind.idle == 600.0
    options_of(kind.settings)
    assert IProtocolFactory.providedBy(kind.make_factory(kind.settings(), context))


@kinds
def test_datagram_replies_have_a_rate(name: str) -> None:
    kind = kind_of(name)
    if name == "discard":
        assert kind.settings().udp_rate is None
    else:
        assert kind.settings().udp_rate == (NOT_LONGER if name in NEVER_LONGER else LONGER)


@pytest.mark.parametrize("name", NEVER_LONGER)
@given(datagram=st.binary(max_size=2000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_reply_amplifies(name: str, context, datagram: bytes) -> None:
    kind = kind_of(name)
    answer = kind.make_responder(kind.settings(), context)(datagram)
    assert answer is None or len(answer) <= len(datagram)


@pytest.mark.parametrize("name", ANNOUNCED)
@given(pieces=st.lists(st.binary(max_size=20), max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_message_is_sent_then_close(name: str, context, pieces: list[bytes]) -> None:
    """RFC 865, 867: the text "is sent out the connection (and any data received is thrown away).
    The service closes the connection after sending"."""
    kind = kind_of(name)
    factory = kind.make_factory(kind.settings(), context)
    protocol = factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 4711))
    transport = StringTransport()
    protocol.makeConnection(transport)
    message = transport.value()
    assert message
    assert transport.disconnecting
    for piece in pieces:
        protocol.dataReceived(piece)
    assert transport.value() == message


@pytest.mark.parametrize("name", ANNOUNCED)
@pytest.mark.parametrize("datagram", [b"", b"what?", bytes(1000)])
def test_datagram_has_the_same_message(name: str, context, datagram: bytes) -> None:
    """RFC 865, 867: "the data in the received datagram is ignored"."""
    kind = kind_of(name)
    answer = kind.make_responder(kind.settings(), context)(datagram)
    assert answer
    assert len(answer) < 512
