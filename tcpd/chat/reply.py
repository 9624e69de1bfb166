"""The reply to one request of a client, open until the request is complete.

A request is complete when its command has returned, its events are applied or refused, and its
asynchronous operations, such as a password check, have finished. Until then the client's next line
is not processed, so that nothing overtakes the reply.

With the local event log, events are applied within the command's call.
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
    """Continues a request when its event is applied or refused. Called by the hub.

    :param refused: called with the refusal.
    :param then: called when the event was applied and sent.

    :ivar reply: the reply to the request.
    :ivar expected: the event was appended to the log, and the hub will call :meth:`done` or
        :meth:`failed`.
    """

    __slots__ = ("_over", "_refused", "_then", "expected", "reply")

    def __init__(
        self, reply: ChatReply, refused: Callable[[Refused], None], then: Callable[[], None]
    ) -> None:
        self.reply = reply
        self.expected = False
        self._over = False
        self._refused = refused
        self._then = then

    def done(self, refused: Refused | None) -> None:
        """Continue the request: the event was applied and sent, or refused. Called once."""
        self._over = True
        reply = self.reply
        try:
            if not reply.client.gone:
                if refused is None:
                    self._then()
                else:
                    self._refused(refused)
        finally:  # a failed request is complete, too; otherwise its client would wait forever
            reply.proceed()
            reply.release()

    def failed(self) -> None:
        """Continue the request without ``then``: sending the event raised an exception."""
        if not self._over:
            self._over = True
            self.reply.proceed()
            self.reply.release()


class ChatReply:
    """The reply to one request. Each frontend has a subclass.

    :cvar collects: the client's own copies of the request's events go into the reply, by
        :meth:`show`, not into the outbox.

    :ivar client: the client that made the request.
    """

    collects = False

    __slots__ = ("_asks", "_open", "client")

    def __init__(self, client: Any) -> None:
        self.client = client
        self._open = 1  # until the command has returned
        #: Verbs that wait for the event of an earlier one; ``None`` if no event is pending.
        self._asks: deque[Callable[[], None]] | None = None

    @property
    def person(self) -> Person:
        """The person of the client.

        :raise AssertionError: if the client has not entered.
        """
        person: Person | None = self.client.person
        assert person is not None
        return person

    @property
    def is_complete(self) -> bool:
        """Whether the request is complete."""
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
        """Call a verb of the hub. Several verbs run in sequence, so that a refusal does not
        overtake a pending event.

        :param verb: a method of :class:`tcpd.chat.hub.Hub`, called with the client, the arguments
            and a completion.
        :param refused: called with the refusal, now or later.
        :param then: called when the event was applied and sent, or if the verb had nothing to do.
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

        :return: a function that releases it, to be called once.
        """
        self._open += 1
        return self.release

    def wait(self, found: Deferred[Any], then: Callable[[Any], None]) -> None:
        """Wait for a Deferred, and call ``then`` with its result unless the client is gone.

        Failures are logged, and the request completes all the same.
        """
        self._open += 1

        def proceed(result: Any) -> None:
            if not self.client.gone:
                then(result)

        found.addCallback(proceed)
        found.addErrback(self._failed)
        found.addBoth(lambda result: self.release())

    @property
    def is_short(self) -> bool:
        """Whether :meth:`end` can be omitted: nothing is pending, and nothing is collected."""
        return self._open == 1 and not self.collects

    def end(self) -> None:
        """The command has returned. Called once by the frontend, unless :attr:`is_short`."""
        self.release()

    # --- for the hub ---

    def show(self, event: Event) -> None:
        """Take the client's own copy of an event. A subclass with :attr:`collects` overrides it."""
        raise NotImplementedError

    def proceed(self) -> None:
        """Run waiting verbs until one has a pending event. Exceptions are logged."""
        asks, self._asks = self._asks, None
        while asks:
            try:
                asks.popleft()()
            except Exception:
                _log.failure("a part of a request failed")
            if self._queue_behind_pending(asks):
                return

    def _queue_behind_pending(self, asks: deque[Callable[[], None]]) -> bool:
        """Queue verbs behind those that wait for a pending event, if any event is pending.

        :return: whether an event is pending.
        """
        if self._asks is None:
            return False
        self._asks += asks
        return True

    def release(self) -> None:
        """Release one hold; the last one completes the request."""
        self._open -= 1
        if not self._open:
            self.complete()

    def complete(self) -> None:
        """The request is complete. Called once."""
        self.client.completed(self)

    def _failed(self, failure: Failure) -> None:
        _log.failure("a request waited for something that failed", failure)
