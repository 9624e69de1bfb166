"""Passwords that clients say: whether they may, and whether they are right."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from tcpd.chat.irc import numerics
from tcpd.policy.passwords import PasswordHash

if TYPE_CHECKING:
    from tcpd.chat.irc.session import Session

#: How many are checked at once: each takes 32 MiB and the better part of a core.
AT_ONCE = 2
#: How many may wait for that: a few seconds' worth.
WAITING = 64

#: Does some work elsewhere, and calls with the outcome when it is done.
Run = Callable[[Callable[[], bool], Callable[[bool], None]], None]


def at_once(work: Callable[[], bool], done: Callable[[bool], None]) -> None:
    """Do the work here, where there are no threads."""
    done(work())


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


class PasswordChecks:
    """Checks passwords a few at a time, as it takes some 80 ms, for which nobody is to wait.

    :param run: does one check.
    """

    def __init__(self, run: Run = at_once) -> None:
        self._run = run
        self._under_way = 0
        self._waiting: deque[tuple[Callable[[], bool], Callable[[bool], None]]] = deque()

    def check(self, hash: PasswordHash, password: str, done: Callable[[bool], None]) -> bool:
        """Check one.

        :param done: called once with the outcome, now or later.
        :return: whether it will be: too many may wait already.
        """
        if len(self._waiting) >= WAITING:
            return False
        self._waiting.append((lambda: hash.fits(password), done))
        self._start()
        return True

    def _start(self) -> None:
        while self._waiting and self._under_way < AT_ONCE:
            work, done = self._waiting.popleft()
            self._under_way += 1
            self._run(work, lambda fits, done=done: self._finished(fits, done))  # type: ignore[misc]

    def _finished(self, fits: bool, done: Callable[[bool], None]) -> None:
        self._under_way -= 1
        try:
            done(fits)
        finally:
            self._start()
