"""Awaits the result of one command, with a timeout and cancellation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from tcpd.wire.safe_text import escape_controls


class Wait:
    """Awaits an awaitable and calls back once: ``resolved``, ``rejected`` or ``expired``.

    :param clock: for the timeout.
    :param seconds: the timeout, after which the awaitable is cancelled.
    :param resolved: called with the result.
    :param rejected: called with the failure.
    :param expired: called after the timeout.
    """

    _log = Logger()

    __slots__ = (
        "_clock",
        "_deferred",
        "_expired",
        "_over",
        "_rejected",
        "_resolved",
        "_seconds",
        "_timer",
    )

    def __init__(
        self,
        clock: IReactorTime,
        seconds: float,
        resolved: Callable[[object], None],
        rejected: Callable[[Failure], None],
        expired: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._seconds = seconds
        self._resolved = resolved
        self._rejected = rejected
        self._expired = expired
        self._deferred: Deferred[Any] | None = None
        self._timer: IDelayedCall | None = None
        self._over = False

    def begin(self, awaitable: Awaitable[Any]) -> None:
        """Start it. A callback may come before this returns."""
        deferred = _as_deferred(awaitable)
        self._deferred = deferred
        deferred.addCallbacks(self._succeed, self._fail)
        deferred.addErrback(self._broken)
        if self._over:
            self._cancel()  # the coroutine cancelled this wait before its first await
        else:
            self._timer = self._clock.callLater(self._seconds, self._expire)

    def cancel(self) -> None:
        """Cancel the awaitable, if possible; no callback follows."""
        if not self._over:
            self._finish()
            self._cancel()

    def _succeed(self, result: object) -> None:
        if not self._over:
            self._finish()
            self._resolved(result)

    def _fail(self, failure: Failure) -> None:
        if not self._over:
            self._finish()
            self._rejected(failure)
        elif not failure.check(CancelledError):
            error = escape_controls(repr(failure.value))
            self._log.debug("a cancelled command failed: {error}", error=error)

    def _expire(self) -> None:
        self._timer = None
        self._finish()
        self._cancel()
        self._expired()

    def _finish(self) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _cancel(self) -> None:
        if self._deferred is None:
            return
        try:
            self._deferred.cancel()
        except Exception:  # isolates the canceller of a third party
            self._log.failure("a command could not be cancelled")

    def _broken(self, failure: Failure) -> None:
        self._log.failure("a command's result could not be delivered", failure=failure)


def _as_deferred(awaitable: Awaitable[Any]) -> Deferred[Any]:
    if isinstance(awaitable, Deferred):
        return awaitable
    if isinstance(awaitable, Coroutine):
        return Deferred.fromCoroutine(awaitable)
    return Deferred.fromCoroutine(_wait_for(awaitable))


async def _wait_for(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
