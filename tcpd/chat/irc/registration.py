"""How a client becomes a member: PASS, NICK, USER, and CAP in between."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tcpd.chat.irc import caps, numerics
from tcpd.chat.irc.commands.about import tell_lusers, tell_motd
from tcpd.chat.irc.commands.connection import nick_refused, tell_isupport
from tcpd.chat.irc.commands.modes import USER_MODES, WITH_ARGUMENT
from tcpd.chat.irc.passwords import check, may_be_said, refuse
from tcpd.chat.irc.server import USER_CHARACTERS
from tcpd.chat.member import Member, Profile
from tcpd.chat.refused import Code
from tcpd.chat.settings import REAL_NAME_BYTES
from tcpd.chat.split import tidied
from tcpd.events import Mode
from tcpd.policy.passwords import PasswordHash

if TYPE_CHECKING:
    from tcpd.chat.irc.session import Session

#: How many lines a client may send before it is registered: it has no more to say than its names,
#: a password and what it can do.
MOST_LINES = 100

# what a user name may have, so that it reads as one in nick!user@host
_USER = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


class Registration:
    """What a client has said of itself so far.

    :ivar nick: the nickname it wants; empty before it named one.
    :ivar user: empty before it named one.
    :ivar real_name: likewise.
    :ivar password: what it gave for the server's; ``None`` for nothing.
    :ivar held: how many things registration waits for that are being found out.
    :ivar negotiating: whether it talks about capabilities, so that registration waits for CAP END.
    :ivar away: why it is away from the beginning; empty if it is not.
    """

    __slots__ = (
        "_checking",
        "_lines",
        "_passed",
        "away",
        "held",
        "negotiating",
        "nick",
        "password",
        "real_name",
        "user",
    )

    def __init__(self) -> None:
        self.nick = ""
        self.user = ""
        self.real_name = ""
        self.password: str | None = None
        self.held = 0
        self.negotiating = False
        self.away = ""
        self._lines = 0
        self._checking = False
        self._passed = False

    @property
    def checking(self) -> bool:
        """Whether something is being found out that registration waits for."""
        return self._checking or self.held > 0

    def __repr__(self) -> str:
        return f"<Registration of {self.nick!r}>"

    def one_more_line(self) -> bool:
        """Count a line; tell whether it may still be one."""
        self._lines += 1
        return self._lines <= MOST_LINES

    def negotiates(self, session: Session) -> None:
        """The client talks about capabilities. Registered clients may, too."""
        if session.member is None:
            self.negotiating = True

    def introduce(self, user: str, real_name: str) -> None:
        """Take what USER said: what cannot stand in ``nick!user@host`` is left out of the name."""
        kept = "".join(filter(_USER.__contains__, user))[: USER_CHARACTERS - 1]
        # nobody has checked the name: "~", as where there is no ident
        self.user = f"~{kept or 'user'}"
        self.real_name = tidied(real_name, REAL_NAME_BYTES)

    def complete(self, session: Session) -> None:
        """Register the client, if all is said that has to be."""
        if session.member is not None or self.negotiating or self.held:
            return
        if not (self.nick and self.user):
            return
        server = session.server
        if server.settings.password is not None and not self._passed:
            self._check(session, server.settings.password)
            return
        profile = Profile(
            self.user,
            self.real_name,
            session.address,
            session.host,
            session.secure,
            caps.ECHO_MESSAGE in session.caps,
        )
        entered = server.hub.enter(
            self.nick, session, server.formats.of(session.caps), session.outbox, profile
        )
        if not isinstance(entered, Member):
            if entered.code is Code.HUB_FULL:
                session.finish(entered.sentence)
                return
            nick, self.nick = self.nick, ""
            nick_refused(session, nick, entered)
            return
        session.registered(entered)
        if self.away:
            server.hub.set_away(entered, self.away)
        _welcome(session, entered)

    def _check(self, session: Session, wanted: PasswordHash) -> None:
        """See whether the password is right, and go on when that is known."""
        if self._checking:
            return
        password, self.password = self.password, None
        if not may_be_said(session):
            refuse(session)
        elif password is None:
            _mismatch(session, "no password")
        else:
            self._checking = True
            check(session, wanted, password, partial(self._checked, session))

    def _checked(self, session: Session, fits: bool | None) -> None:
        self._checking = False
        if session.over:
            return
        if fits is None:
            session.finish("too many are coming in right now, try again in a moment")
        elif fits:
            self._passed = True
            self.complete(session)
        else:
            _mismatch(session, "wrong password")


def _mismatch(session: Session, why: str) -> None:
    """ "If the password supplied does not match the password expected by the server, then the
    server SHOULD send ERR_PASSWDMISMATCH and MAY then close the connection with ERROR."
    """
    session.server.count["bad-passwords"] += 1
    session.numeric(numerics.ERR_PASSWDMISMATCH)
    session.finish(why)


def _welcome(session: Session, member: Member) -> None:
    """The burst: 001 to 005, LUSERS, MOTD."""
    server = session.server
    network = server.settings.network
    session.numeric(numerics.RPL_WELCOME, text=f"Welcome to the {network} Network, {member.who}")
    description = server.settings.server_description
    session.numeric(
        numerics.RPL_YOURHOST,
        text=f"Your host is {server.name}, running version {server.version}"
        + (f" ({description})" if description else ""),
    )
    session.numeric(numerics.RPL_CREATED, text=f"This server was created {server.created_text}")
    modes = "".join(sorted(Mode))
    session.numeric(
        numerics.RPL_MYINFO, server.name, server.version, USER_MODES, modes, WITH_ARGUMENT
    )
    tell_isupport(session)
    tell_lusers(session)
    tell_motd(session)
