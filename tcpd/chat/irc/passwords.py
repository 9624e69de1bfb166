"""Passwords that clients say: whether they may, and whether they are right."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tcpd.chat.irc import numerics
from tcpd.policy.passwords import PasswordHash

if TYPE_CHECKING:
    from tcpd.chat.irc.session import Session


def may_be_said(session: Session) -> bool:
    """Whether a client may say a password: nobody on the way can read it, or nobody minds."""
    address = session.address
    private = session.secure or address is None or address.is_loopback
    return private or session.server.settings.plain_passwords


def refuse(session: Session) -> None:
    """Part from a client whose password others could read."""
    session.numeric(
        numerics.ERR_PASSWDMISMATCH, text="Passwords are taken over TLS alone, connect by that"
    )
    session.finish("a password is taken over TLS alone")


def check(
    session: Session, hash: PasswordHash, password: str, checked: Callable[[bool | None], None]
) -> None:
    """Check a password beside everything else.

    :param checked: called once with the outcome, now or later, and with ``None`` if it was not
        checked, for too many wait; not called once the conversation is over, unless the check was
        under way.
    """

    def done(fits: bool | None) -> None:
        session.server.count["unchecked"] += fits is None
        checked(fits)

    session.server.passwords.ask(
        session.address, lambda: hash.fits(password), done, lambda: not session.over
    )
