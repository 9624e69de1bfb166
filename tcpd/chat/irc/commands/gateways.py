"""WEBIRC: a gateway sends the address of its client.

Source: https://ircv3.net/specs/extensions/webirc
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from functools import partial

from twisted.logger import Logger

from tcpd.chat.hosts import Address
from tcpd.chat.irc import numerics
from tcpd.chat.irc.commands.command import IrcCommand
from tcpd.chat.irc.commands.operators import address_of
from tcpd.chat.irc.commands.registering import complete
from tcpd.chat.irc.credentials import Gateway
from tcpd.chat.irc.message import Message
from tcpd.chat.irc.passwords import check_password, may_send_password
from tcpd.chat.irc.reply import IrcReply
from tcpd.chat.irc.reverse import is_name
from tcpd.ops import catalogue

_log = Logger()


def _webirc(reply: IrcReply, message: Message) -> None:
    client = reply.client
    if client.person is not None:
        reply.numeric(numerics.ERR_ALREADYREGISTERED)
        return
    password, _, hostname, text, *more = message.params
    own = client.address
    gateways = [
        each
        for each in reply.server.settings.webirc
        if own is not None and any(own in network for network in each.networks)
    ]
    if client.entry.nick or client.entry.user or client.entry.gateway:
        _refuse(reply, "WEBIRC must come once, before NICK and USER")
        return
    if not gateways:
        _refuse(reply, "No gateway is configured for this address")
        return
    if not may_send_password(client):
        _refuse(reply, "WEBIRC is accepted over TLS only")
        return
    address = _address(text)
    if address is None:
        _refuse(reply, "WEBIRC has no valid IP address")
        return
    # "secure ... the connection between the client and the gateway is secure"
    options = more[0].split(" ") if more else []
    secure = any(option.partition("=")[0] == "secure" for option in options)
    client.entry.gateway = True
    _check(reply, gateways, password, partial(_stand_for, reply, address, hostname, secure))


def _check(
    reply: IrcReply, gateways: Sequence[Gateway], password: str, right: Callable[[], None]
) -> None:
    """Check the password against one gateway after the other."""
    gateway, *others = gateways

    def checked(fits: bool | None) -> None:
        if fits is None:
            reply.finish("Too many passwords are being checked; try again later")
        elif fits:
            right()
        elif others:
            _check(reply, others, password, right)
        else:
            _refuse(reply, "The gateway's password is wrong")

    check_password(reply, gateway.hash, password, checked)


def _stand_for(reply: IrcReply, address: Address, hostname: str, secure: bool) -> None:
    client = reply.client
    refusal = client.edge.replace_address(address)
    if refusal is not None:
        reply.finish(refusal.sentence)
        return
    client.address = address
    client.secure = secure
    shown = reply.server.hub.hosts.shown == "address"
    client.host = hostname if shown and is_name(hostname) else None
    reply.server.count["gateways"] += 1
    complete(reply)


def _refuse(reply: IrcReply, why: str) -> None:
    reply.server.count["gateways-refused"] += 1
    catalogue.CHAT_GATEWAY_REFUSED.emit(
        _log, service=reply.server.service, address=address_of(reply.client), why=why
    )
    reply.finish(why)


def _address(text: str) -> Address | None:
    try:
        # "if the IPv6 address starts with a colon, it MUST be prepended with a zero"
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if address.version == 4:
        return address
    # a zone is arbitrary text, and local to one machine
    return address.ipv4_mapped or (None if address.scope_id else address)


COMMANDS = {
    "WEBIRC": IrcCommand(
        _webirc,
        4,
        True,
        help=(
            "WEBIRC <password> <gateway> <hostname> <address> [:<options>]",
            "Sends the address of a gateway's client, before any other command. For gateways.",
        ),
    ),
}
