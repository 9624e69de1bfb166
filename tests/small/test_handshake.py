"""The handshake service."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.testing import StringTransport
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tcpd.handshake.facts import Absence, Facts, NoServerIsn, Transport
from tcpd.interfaces import IConnection, IContext, IKind
from tcpd.small.handshake import HandshakeSettings, kind

UNIX = Facts(
    transport=Transport.UNIX,
    no_saved_syn=Absence.UNIX,
    no_server_isn=NoServerIsn.UNIX,
    service="shake",
)


@implementer(IConnection)
class LayeredTransport(StringTransport):
    """A transport with a connection layer."""

    def facts(self) -> Facts:
        return UNIX


def report_of(context: IContext, transport: StringTransport, **keys: str) -> bytes:
    factory = kind.make_factory(HandshakeSettings(**keys), context)
    protocol = factory.buildProtocol(None)
    protocol.makeConnection(transport)
    assert transport.disconnecting
    protocol.dataReceived(b"anything")
    return transport.value()


def test_provides_ikind() -> None:
    verifyObject(IKind, kind)
    assert kind.sample_listen == "127.0.0.1:7080"
    assert kind.shows_handshakes


def test_report_is_sent_and_the_connection_closed(context: IContext) -> None:
    """ "connect, read drawing + report + hints, the server closes" """
    text = report_of(context, LayeredTransport()).decode("ascii")
    lines = text.split("\r\n")
    assert "No drawing" in lines[0]
    assert "Layer 7, application" in lines
    assert "  service                  shake" in lines
    assert max(map(len, lines)) <= 79


def test_json_is_one_line(context: IContext) -> None:
    line = report_of(context, LayeredTransport(), format="json")
    assert line.endswith(b"\r\n")
    assert line.count(b"\n") == 1
    found: dict[str, Any] = json.loads(line)
    assert {"version", "handshake", "layers", "tcpinfo", "hints"} <= set(found)


@pytest.mark.parametrize("format", ["text", "json"])
def test_transport_without_a_connection_layer(context: IContext, format: str) -> None:
    assert report_of(context, StringTransport(), format=format)


def test_new_options_apply_to_new_connections(context: IContext) -> None:
    factory = kind.make_factory(HandshakeSettings(), context)
    factory.reconfigure(HandshakeSettings(format="json"))
    transport = LayeredTransport()
    factory.buildProtocol(None).makeConnection(transport)
    assert transport.value().startswith(b"{")
