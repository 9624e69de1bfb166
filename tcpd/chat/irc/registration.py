"""What a client has sent of itself before it is registered."""

from __future__ import annotations

from tcpd.chat.irc.server import USER_CHARACTERS
from tcpd.chat.settings import REAL_NAME_BYTES
from tcpd.chat.split import tidied

#: How many lines a client may send before it is registered: its names, a password and its
#: capabilities take no more.
MAX_LINES = 100

# what a user name may have, so that it reads as one in nick!user@host
_USER = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


class Registration:
    """What a client has sent so far.

    :ivar nick: the nickname it wants; empty before it named one.
    :ivar user: empty before it named one.
    :ivar real_name: likewise.
    :ivar password: what it gave for the server's; ``None`` for nothing.
    :ivar passed: that was right.
    :ivar gateway: a gateway has said for whom it connects (WEBIRC).
    :ivar negotiating: it talks about capabilities, so that registration waits for CAP END.
    :ivar away: its away message from the beginning; empty if it is not away.
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
        """Count a line.

        :return: whether it is not one too many.
        """
        self._lines += 1
        return self._lines <= MAX_LINES

    def set_user(self, user: str, real_name: str) -> None:
        """Take what USER has: what cannot be in ``nick!user@host`` is left out of the name."""
        kept = "".join(filter(_USER.__contains__, user))[: USER_CHARACTERS - 1]
        # nobody has checked the name: "~", as where there is no ident
        self.user = f"~{kept or 'user'}"
        self.real_name = tidied(real_name, REAL_NAME_BYTES)


#: That of all clients that are registered, as nobody asks any more.
REGISTERED = Registration()
