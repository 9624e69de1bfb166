"""Checks of passwords that clients send."""

from __future__ import annotations

from collections.abc import Callable

from tcpd.chat.irc import numerics
from tcpd.chat.irc.client import IrcClient
from tcpd.chat.irc.reply import IrcReply
from tcpd.policy.passwords import PasswordHash


def may_send_password(client: IrcClient) -> bool:
    """Return whether a client may send a password: over TLS, loopback or a UNIX socket, or with
    ``plain_passwords``."""
    address = client.address
    private = client.secure or address is None or address.is_loopback
    return private or client.server.settings.plain_passwords


def refuse_insecure(reply: IrcReply) -> None:
    """Close the connection of a client that sends a password without TLS."""
    reply.numeric(
        numerics.ERR_PASSWDMISMATCH, text="Passwords are accepted over TLS only; connect with TLS"
    )
    reply.finish("passwords are accepted over TLS only")


def check_password(
    reply: IrcReply,
    hash: PasswordHash,
    password: str,
    checked: Callable[[bool | None], None],
    tried: Callable[[bool], None] = lambda fits: None,
) -> None:
    """Check a password in a thread. The request stays incomplete until then.

    :param checked: called with the result unless the client has disconnected; with ``None`` if too
        many checks wait.
    :param tried: called with the result even if the client has disconnected; not called if too
        many checks wait.
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

    server.passwords.submit(
        client.address, lambda: hash.matches(password), done, lambda: not client.over
    )
