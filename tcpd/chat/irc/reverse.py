"""Names of addresses. Nobody waits for them: who has none in time keeps the address.

A name counts if the address is among its own (forward-confirmed): whoever has an address may give
it any name, but not put the address into somebody else's zone.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from functools import partial

from twisted.logger import Logger
from twisted.python.failure import Failure

from tcpd.chat.hosts import Address
from tcpd.chat.irc.server import HOST_CHARACTERS
from tcpd.net.lookups import LookupFailed, Lookups
from tcpd.policy.addresses import plain_address

_NAME = re.compile(rf"(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9.-]{{0,{HOST_CHARACTERS - 1}}}")


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

    :param lookups: the door's.
    :param find: finds one: :func:`name_of`, but for tests.
    """

    _log = Logger()

    def __init__(self, lookups: Lookups, find: Callable[[Address], str] = name_of) -> None:
        self._lookups = lookups
        self._find = find

    def ask(self, address: Address, named: Callable[[str], None]) -> None:
        """Ask for the name of an address.

        :param named: called once with the name, if there is one and it comes in time.
        """
        found = self._lookups.ask(address, partial(self._find, address))
        found.addCallback(lambda name: named(name) if name else None)
        found.addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        if not failure.check(LookupFailed):
            self._log.failure("the name of an address cannot be used", failure)
