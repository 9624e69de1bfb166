"""Passwords that clients send: whether they may, and whether they are right."""

from __future__ import annotations

from collections.abc import Callable

from tcpd.chat.irc import numerics
from tcpd.chat.irc.client import IrcClient
from tcpd.chat.irc.reply import IrcReply
from tcpd.policy.passwords import PasswordHash


def may_send_password(client: IrcClient) -> bool:
    """Whether a client may send a password: nobody on the way can read it, or it is configured."""
    address = client.address
    private = client.secure or address is None or address.is_loopback
    return private or client.server.settings.plain_passwords


def refuse_insecure(reply: IrcReply) -> None:
    """End the connection of a client whose password others could read."""
    reply.numeric(
        numerics.ERR_PASSWDMISMATCH, text="Passwords are taken over TLS alone, connect by that"
    )
    reply.finish("a password is taken over TLS alone")


def check_password(
    reply: IrcReply,
    hash: PasswordHash,
    password: str,
    checked: Callable[[bool | None], None],
    tried: Callable[[bool], None] = lambda fits: None,
) -> None:
    """Check a password in a thread. The request is open until that is done.

    :param checked: called with the result unless the client is gone by then; with ``None`` if it
        was not checked, for too many wait.
    :param tried: called with the result even if it is gone; not called if it was not checked.
    """
    client, server = reply.client, reply.server
    release = reply.hold()

    def done(fits: bool | None) -> None:
        server.count["unchecked"] += fits is None
        try:
            if fits is not None:
                tried(fits)
            if not client.over:
                checked(fits)
        finally:
            release()

    server.passwords.ask(client.address, lambda: hash.fits(password), done, lambda: not client.over)
