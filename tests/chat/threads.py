"""A reactor's threads, whose work is done when a test advances the clock."""

from __future__ import annotations

from functools import partial
from typing import Any

from chat.irc_chat import IrcChat
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.chat.irc.protocol import _thread_runner
from tcpd.policy.checks import Checks


@implementer(IReactorThreads)
class Threads:
    """As much of a reactor as threads need."""

    def __init__(self, clock: Clock) -> None:
        self.callFromThread = partial(clock.callLater, 0)
        self.callLater = clock.callLater
        self.seconds = clock.seconds

    def callInThread(self, *arguments: Any) -> None:
        raise NotImplementedError

    def suggestThreadPoolSize(self, size: int) -> None:
        raise NotImplementedError

    def getThreadPool(self) -> Threads:
        return self

    def callInThreadWithCallback(self, told: Any, call: Any, *arguments: Any) -> None:
        try:
            result = True, call(*arguments)
        except Exception:
            result = False, Failure()
        self.callFromThread(told, *result)


def threaded_chat(**settings: Any) -> IrcChat:
    """A chat that checks passwords in threads, as a daemon does."""
    chat = IrcChat(**settings)
    chat.irc.server.passwords = Checks(_thread_runner(Threads(chat.clock)), chat.clock.seconds)
    return chat
