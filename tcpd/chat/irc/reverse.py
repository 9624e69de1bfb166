"""Names of addresses: asked for in threads, and nobody waits for them.

A name counts if the address is among its own (forward-confirmed): whoever has an address may give
it any name, but not put the address into somebody else's zone.
"""

from __future__ import annotations

import re
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from tcpd.chat.hosts import Address
from tcpd.chat.irc.server import HOST_CHARACTERS
from tcpd.policy.admission import plain_address

#: How many are asked for at once: each has a thread of the pool for as long as the system's
#: resolver takes.
AT_ONCE = 4
#: How many may wait for that; more go without a name.
WAITING = 256
#: Seconds: who has no name by then keeps the address, however late one comes.
LONGEST = 10.0

_NAME = re.compile(rf"(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9.-]{{0,{HOST_CHARACTERS - 1}}}")

_Told = Callable[[str], None]


def is_name(text: str) -> bool:
    """Whether a text can be a host in ``nick!user@host``, and is no IPv4 address."""
    return _NAME.fullmatch(text) is not None


def name_of(address: Address) -> str:
    """The name of an address, or ``""``. Waits for the system's resolver: for threads."""
    try:
        name = socket.gethostbyaddr(str(address))[0].rstrip(".")
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ""
    own = any(plain_address(str(place[0])) == address for *_, place in found)
    return name if own and is_name(name) else ""


class ReverseNames:
    """Finds names, a few at a time.

    :param reactor: an ``IReactorThreads``, in whose pool it is waited.
    :param clock: seconds.
    :param find: finds one: :func:`name_of`, but for tests.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        clock: Callable[[], float],
        find: Callable[[Address], str] = name_of,
    ) -> None:
        self._reactor = reactor
        self._clock = clock
        self._find = find
        self._under_way = 0
        self._waiting: deque[tuple[float, Address, _Told]] = deque()

    def ask(self, address: Address, told: _Told) -> None:
        """Ask for the name of an address.

        :param told: called once if there is one, and it comes in time.
        """
        if len(self._waiting) < WAITING:
            self._waiting.append((self._clock() + LONGEST, address, told))
            self._start()

    def _start(self) -> None:
        while self._waiting and self._under_way < AT_ONCE:
            until, address, told = self._waiting.popleft()
            if self._clock() >= until:
                continue
            self._under_way += 1
            pool = self._reactor.getThreadPool()
            asked = deferToThreadPool(self._reactor, pool, self._find, address)
            asked.addBoth(self._found, until, told)

    def _found(self, name: str | Failure, until: float, told: _Told) -> None:
        self._under_way -= 1
        if isinstance(name, Failure):
            self._log.failure("a name could not be asked for", name)
        elif name and self._clock() < until:
            try:
                told(name)
            except Exception:
                self._log.failure("a name could not be told")
        self._start()
