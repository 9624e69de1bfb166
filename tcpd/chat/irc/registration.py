"""State of a client's registration."""

from __future__ import annotations

from tcpd.chat.irc.server import USER_CHARACTERS
from tcpd.chat.settings import REAL_NAME_BYTES
from tcpd.chat.split import tidied

#: Maximum number of lines before registration is complete.
MAX_LINES = 100

# characters of a user name, unambiguous in nick!user@host
_USER = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


class Registration:
    """State of a client's registration.

    :ivar nick: the requested nickname; empty before NICK.
    :ivar user: the user name; empty before USER.
    :ivar real_name: the real name; empty before USER.
    :ivar password: the parameter of PASS; ``None`` before PASS.
    :ivar passed: the password was right.
    :ivar gateway: the client sent WEBIRC.
    :ivar negotiating: capability negotiation is open: registration waits for CAP END.
    :ivar away: message of AWAY (``draft/pre-away``); empty if the client is not away.
    """

    __slots__ = (
        "_lines",
        "away",
        "gateway",
        "negotiating",
        "nick",
        "passed",
        "password",
        "real_name",
        "user",
    )

    def __init__(self) -> None:
        self.nick = ""
        self.user = ""
        self.real_name = ""
        self.password: str | None = None
        self.passed = False
        self.gateway = False
        self.negotiating = False
        self.away = ""
        self._lines = 0

    def __repr__(self) -> str:
        return f"<Registration of {self.nick!r}>"

    def count_line(self) -> bool:
        """Count a line, and return whether the limit is kept."""
        self._lines += 1
        return self._lines <= MAX_LINES

    def set_user(self, user: str, real_name: str) -> None:
        """Take the parameters of USER, without characters that ``nick!user@host`` cannot have."""
        kept = "".join(filter(_USER.__contains__, user))[: USER_CHARACTERS - 1]
        # "~": not verified by ident
        self.user = f"~{kept or 'user'}"
        self.real_name = tidied(real_name, REAL_NAME_BYTES)


#: Shared by all registered clients; saves memory.
REGISTERED = Registration()
