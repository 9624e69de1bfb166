"""Passwords checked beside the reactor: one takes some 80 ms, in which it would do nothing else.

Used for the passwords of operators, of gateways and of the server itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from tcpd.policy.passwords import PasswordHash

#: How many are checked at a time: each takes 32 MiB and a thread of the pool, which others need.
AT_A_TIME = 2

#: How many may wait for it.
WAITING = 64

_Told = Callable[[bool], None]


class PasswordChecks:
    """Checks passwords in the threads of the reactor's pool.

    :param reactor: an ``IReactorThreads`` whose pool it is.
    """

    _log = Logger()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._waiting: deque[tuple[PasswordHash, str, _Told]] = deque()
        self._busy = 0

    def check(self, hash: PasswordHash, password: str, callback: _Told) -> bool:
        """Find out whether a password is the one.

        :param callback: called once with that, in the reactor's thread and never before this
            returns.
        :return: ``False`` if too many wait already: it is then not checked, and nothing called.
        """
        if len(self._waiting) >= WAITING:
            return False
        self._waiting.append((hash, password, callback))
        self._begin()
        return True

    def _begin(self) -> None:
        while self._waiting and self._busy < AT_A_TIME:
            hash, password, callback = self._waiting.popleft()
            self._busy += 1

            def checked(success: bool, result: Any, callback: _Told = callback) -> None:
                self._reactor.callFromThread(self._done, callback, success, result)

            pool = self._reactor.getThreadPool()
            pool.callInThreadWithCallback(checked, hash.fits, password)

    def _done(self, callback: _Told, success: bool, result: Any) -> None:
        self._busy -= 1
        if not success:  # no memory: nobody is let in for it
            self._log.failure("a password could not be checked", failure=result)
        self._begin()
        callback(success and result is True)
