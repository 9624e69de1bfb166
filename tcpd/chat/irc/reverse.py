"""Forward-confirmed reverse DNS: the host name of a client's address.

A name counts only if it resolves to the address: the owner of an address chooses any PTR record,
but cannot add the address to another zone. Registration does not wait for DNS.
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
    """Return whether a text can be the host in ``nick!user@host`` and is no IPv4 address."""
    return _NAME.fullmatch(text) is not None


def name_of(address: Address) -> str:
    """Return the host name of an address, or ``""``. Blocks: call it in a thread."""
    try:
        name = socket.gethostbyaddr(str(address))[0].rstrip(".")
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ""
    own = any(plain_address(str(sockaddr[0])) == address for *_, sockaddr in found)
    return name if own and is_name(name) else ""


class ReverseNames:
    """Reverse look-ups in threads.

    :param lookups: threads of the service.
    :param find: replaces :func:`name_of` in tests.
    """

    _log = Logger()

    def __init__(self, lookups: Lookups, find: Callable[[Address], str] = name_of) -> None:
        self._lookups = lookups
        self._find = find

    def ask(self, address: Address, named: Callable[[str], None]) -> None:
        """Look up the name of an address.

        :param named: called with the name, if it is found before the timeout.
        """
        found = self._lookups.look_up(address, partial(self._find, address))
        found.addCallback(lambda name: named(name) if name else None)
        found.addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        if not failure.check(LookupFailed):
            self._log.failure("a reverse look-up failed", failure)
