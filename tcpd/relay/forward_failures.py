"""Why the far side cannot be reached, in a word that is counted and a sentence that is logged."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from twisted.internet import error
from twisted.python.failure import Failure

from tcpd.net.lookups import LookupFailed
from tcpd.net.tls_faults import reasons_of

#: The words, and what they mean to the operator.
REFUSED = "refused"
UNREACHABLE = "unreachable"
TIMEOUT = "timeout"
UNRESOLVED = "unresolved"
UNTRUSTED = "untrusted"
TLS_FAILED = "tls-failed"
FAILED = "failed"

_NO_WAY = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN}
_NOBODY = {errno.ENOENT, errno.ECONNREFUSED}


@dataclass(frozen=True, slots=True)
class Why:
    """Why there is no far side.

    :ivar word: one of this module's.
    :ivar sentence: for the log, without a full stop; no text of a peer's.
    """

    word: str
    sentence: str


def why_not_connected(failure: Failure) -> Why:
    """What an endpoint's failure means.

    :param failure: of :meth:`twisted.internet.interfaces.IStreamClientEndpoint.connect`.
    """
    value = failure.value
    if isinstance(value, LookupFailed):
        return Why(UNRESOLVED, str(value))
    # the endpoint's timeout, the kernel's, and the service's
    if isinstance(
        value, error.TimeoutError | error.TCPTimedOutError | error.ConnectingCancelledError
    ):
        return Why(TIMEOUT, "it does not answer")
    number = getattr(value, "osError", None)
    if isinstance(value, error.NoRouteError) or number in _NO_WAY:
        return Why(UNREACHABLE, _told(number) or "there is no way to it")
    if isinstance(value, error.ConnectionRefusedError) or number in _NOBODY:
        return Why(REFUSED, _told(number) or "nobody listens there")
    return Why(FAILED, _told(number) or type(value).__name__)


def why_no_tls(failure: Failure) -> Why:
    """What the end of a connection within its TLS handshake means, or TLS going wrong later."""
    if reasons := reasons_of(failure.value):
        return Why(TLS_FAILED, f"TLS failed: {', '.join(reasons)}")
    return Why(TLS_FAILED, "it closed the connection in the TLS handshake")


def _told(number: int | None) -> str:
    """What the system says of an error of its own; empty where it gave none."""
    return os.strerror(number) if number else ""
