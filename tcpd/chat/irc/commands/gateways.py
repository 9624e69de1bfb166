"""WEBIRC: a gateway tells for whom it connects.

Source: https://ircv3.net/specs/extensions/webirc
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import TYPE_CHECKING

from twisted.logger import Logger

from tcpd.chat.hosts import Address
from tcpd.chat.irc import numerics
from tcpd.chat.irc.commands.command import Command
from tcpd.chat.irc.commands.operators import address_of
from tcpd.chat.irc.labels import later
from tcpd.chat.irc.message import Message
from tcpd.chat.irc.passwords import check, may_be_said
from tcpd.chat.irc.reverse import is_name
from tcpd.chat.irc.trusted import Gateway
from tcpd.ops import catalogue

if TYPE_CHECKING:
    from tcpd.chat.irc.session import Session

_log = Logger()


def _webirc(session: Session, message: Message) -> None:
    if session.member is not None:
        session.numeric(numerics.ERR_ALREADYREGISTERED)
        return
    password, _, hostname, text, *more = message.params
    own = session.address
    gateways = [
        each
        for each in session.server.settings.webirc
        if own is not None and any(own in network for network in each.networks)
    ]
    if not gateways:
        _refuse(session, "This address is no gateway's")
        return
    if session.entry.nick or session.entry.user or session.entry.held:
        _refuse(session, "WEBIRC comes once, before NICK and USER")
        return
    if not may_be_said(session):
        _refuse(session, "WEBIRC is taken over TLS alone")
        return
    address = _address(text)
    if address is None:
        _refuse(session, "WEBIRC without an IP address")
        return
    # "secure ... the connection between the client and the gateway is secure"
    options = more[0].split(" ") if more else []
    secure = any(option.partition("=")[0] == "secure" for option in options)
    session.entry.held += 1
    _check(session, gateways, password, address, hostname, secure)


def _check(
    session: Session,
    gateways: Sequence[Gateway],
    password: str,
    address: Address,
    hostname: str,
    secure: bool,
) -> None:
    """Try the password of one gateway after the other."""
    gateway, *others = gateways
    give = later(session)

    def checked(fits: bool | None) -> None:
        if fits is None:
            give(lambda: session.finish("Too many passwords are being checked, try again later"))
        elif fits:
            give(lambda: _stand_for(session, address, hostname, secure))
        elif others:
            give(lambda: _check(session, others, password, address, hostname, secure))
        else:
            give(lambda: _refuse(session, "The gateway's password is wrong"))

    check(session, gateway.hash, password, checked)


def _stand_for(session: Session, address: Address, hostname: str, secure: bool) -> None:
    refusal = session.edge.stand_for(address)
    if refusal is not None:
        session.finish(refusal.sentence)
        return
    session.address = address
    session.secure = secure
    shown = session.server.hub.hosts.shown == "address"
    session.host = hostname if shown and is_name(hostname) else None
    session.server.count["gateways"] += 1
    session.entry.held -= 1
    session.entry.complete(session)


def _refuse(session: Session, why: str) -> None:
    session.server.count["gateways-refused"] += 1
    catalogue.CHAT_GATEWAY_REFUSED.emit(
        _log, service=session.server.service, address=address_of(session), why=why
    )
    session.finish(why)


def _address(text: str) -> Address | None:
    try:
        # "if the IPv6 address starts with a colon, it MUST be prepended with a zero"
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if address.version == 4:
        return address
    # a zone may be any text, and means something on one machine alone
    return address.ipv4_mapped or (None if address.scope_id else address)


COMMANDS = {
    "WEBIRC": Command(
        _webirc,
        4,
        True,
        (
            "WEBIRC <password> <gateway> <hostname> <address> [:<options>]",
            "Tells for whom a gateway connects, before all else. For gateways.",
        ),
    ),
}
