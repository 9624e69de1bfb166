"""The reply to one request of a client, open until the request is complete.

A request is complete when its command has returned, all that it caused is applied or refused, and
all that it waits for is there: a password that is checked in a thread, a page of history. Until
then the client's next line is not taken, so that nothing overtakes the reply.

With the local event log all of it happens within the command's call, and no request ever waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from tcpd.chat.people import Person
from tcpd.chat.refused import Refused
from tcpd.events.chat import Event

_log = Logger()


def _nothing() -> None:
    pass


class Completion:
    """What is to be done when one event of a request is applied or refused. The hub calls it.

    :ivar reply: of the request.
    :ivar expected: the event was appended, and the hub is going to call :meth:`done` or
        :meth:`failed`.
    """

    __slots__ = ("_over", "_refused", "_then", "expected", "reply")

    def __init__(
        self, reply: Reply, refused: Callable[[Refused], None], then: Callable[[], None]
    ) -> None:
        self.reply = reply
        self.expected = False
        self._over = False
        self._refused = refused
        self._then = then

    def done(self, refused: Refused | None) -> None:
        """The event was applied and sent, or refused. Called once."""
        self._over = True
        reply = self.reply
        try:
            if not reply.client.gone:
                if refused is None:
                    self._then()
                else:
                    self._refused(refused)
        finally:  # a request that fails is complete, too: its client waits for it
            reply.proceed()
            reply.release()

    def failed(self) -> None:
        """What followed from the event failed: the request is complete, with what it has."""
        if not self._over:
            self._over = True
            self.reply.proceed()
            self.reply.release()


class Reply:
    """What a client is told in answer to one request. Frontends have subclasses with words.

    :cvar collects: it takes the client's own copy of the events of its request, by :meth:`show`.

    :ivar client: whose request it is.
    """

    collects = False

    __slots__ = ("_asks", "_open", "client")

    def __init__(self, client: Any) -> None:
        self.client = client
        self._open = 1  # until the command has returned
        #: What is asked for while an event is on its way; ``None`` if none is.
        self._asks: deque[Callable[[], None]] | None = None

    @property
    def person(self) -> Person:
        """The client's person.

        :raise AssertionError: if it has not entered.
        """
        person: Person | None = self.client.person
        assert person is not None
        return person

    @property
    def is_complete(self) -> bool:
        """Whether nothing is waited for any more."""
        return not self._open

    # --- for commands ---

    def ask(
        self,
        verb: Callable[..., Refused | None],
        *arguments: Any,
        refused: Callable[[Refused], None],
        then: Callable[[], None] = _nothing,
        **more: Any,
    ) -> None:
        """Ask the hub for something. Several things are asked for one after the other, so that
        what is refused at once does not overtake what is on its way.

        :param verb: a method of :class:`tcpd.chat.hub.Hub`, called with the client, the arguments
            and a completion.
        :param refused: called with the refusal, now or later.
        :param then: called when the event was applied and sent, or when there was nothing to do.
        """
        self._open += 1
        if self._asks is not None:
            self._asks.append(partial(self._ask, verb, arguments, refused, then, more))
        else:
            self._ask(verb, arguments, refused, then, more)

    def _ask(
        self,
        verb: Callable[..., Refused | None],
        arguments: tuple[Any, ...],
        refused: Callable[[Refused], None],
        then: Callable[[], None],
        more: dict[str, Any],
    ) -> None:
        client = self.client
        if client.gone:
            self.release()
            return
        completion = Completion(self, refused, then)
        self._asks = deque()
        try:
            answer = verb(client, *arguments, completion=completion, **more)
        except Exception:
            if not completion.expected:
                self.proceed()
                self.release()
            raise
        if not completion.expected:
            completion.done(answer)

    def hold(self) -> Callable[[], None]:
        """Keep the request open.

        :return: to be called once, when what it waits for is done.
        """
        self._open += 1
        return self.release

    def wait(self, found: Deferred[Any], then: Callable[[Any], None]) -> None:
        """Wait for a Deferred, and go on with its result unless the client is gone by then.

        What it fails with, or ``then`` raises, is logged; the request is complete all the same.
        """
        self._open += 1

        def go_on(result: Any) -> None:
            if not self.client.gone:
                then(result)

        found.addCallback(go_on)
        found.addErrback(self._failed)
        found.addBoth(lambda result: self.release())

    @property
    def is_short(self) -> bool:
        """Whether nothing is waited for, and nothing is to be done at the end."""
        return self._open == 1 and not self.collects

    def end(self) -> None:
        """The command has returned. Called once, by the frontend; it may leave it out where
        :attr:`is_short`."""
        self.release()

    # --- for the hub ---

    def show(self, event: Event) -> None:
        """Take the client's own copy of an event, where :attr:`collects` says so."""
        raise NotImplementedError

    def proceed(self) -> None:
        """An event is applied or refused: ask for the next thing, if there is one.

        What fails in that is logged, and the next thing is asked for.
        """
        asks, self._asks = self._asks, None
        while asks:
            try:
                asks.popleft()()
            except Exception:
                _log.failure("a part of a request failed")
            if self._wait_for_it(asks):
                return

    def _wait_for_it(self, asks: deque[Callable[[], None]]) -> bool:
        """If an event is on its way, have the rest wait for it, behind what waits already.

        :return: whether one is.
        """
        if self._asks is None:
            return False
        self._asks += asks
        return True

    def release(self) -> None:
        """One thing less to wait for."""
        self._open -= 1
        if not self._open:
            self.complete()

    def complete(self) -> None:
        """The request is complete. Called once."""
        self.client.completed(self)

    def _failed(self, failure: Failure) -> None:
        _log.failure("a request waited for something that failed", failure)
