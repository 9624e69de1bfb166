"""Why a connection to the far side failed: a word for counters and a text for the log."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from twisted.internet import error
from twisted.python.failure import Failure

from tcpd.net.lookups import LookupFailed
from tcpd.net.tls_faults import reasons_of

REFUSED = "refused"
UNREACHABLE = "unreachable"
TIMEOUT = "timeout"
UNRESOLVED = "unresolved"
UNTRUSTED = "untrusted"
TLS_FAILED = "tls-failed"
FAILED = "failed"

_UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN}
_REFUSED = {errno.ENOENT, errno.ECONNREFUSED}


@dataclass(frozen=True, slots=True)
class FarFailure:
    """Why a connection to the far side failed.

    :ivar word: one of the words of this module.
    :ivar sentence: a sentence for the log, without a full stop; contains no text of a peer.
    """

    word: str
    sentence: str


def connect_failure(failure: Failure) -> FarFailure:
    """Classify the failure of an endpoint's ``connect``."""
    value = failure.value
    if isinstance(value, LookupFailed):
        return FarFailure(UNRESOLVED, str(value))
    # the endpoint's timeout, the kernel's, and the service's
    if isinstance(
        value, error.TimeoutError | error.TCPTimedOutError | error.ConnectingCancelledError
    ):
        return FarFailure(TIMEOUT, "connecting timed out")
    number = getattr(value, "osError", None)
    if isinstance(value, error.NoRouteError) or number in _UNREACHABLE:
        return FarFailure(UNREACHABLE, _strerror(number) or "no route to host")
    if isinstance(value, error.ConnectionRefusedError) or number in _REFUSED:
        return FarFailure(REFUSED, _strerror(number) or "connection refused")
    return FarFailure(FAILED, _strerror(number) or type(value).__name__)


def tls_failure(failure: Failure) -> FarFailure:
    """Classify a connection lost in its TLS handshake, or by a later TLS error."""
    if reasons := reasons_of(failure.value):
        return FarFailure(TLS_FAILED, f"TLS failed: {', '.join(reasons)}")
    return FarFailure(TLS_FAILED, "it closed the connection in the TLS handshake")


def _strerror(number: int | None) -> str:
    return os.strerror(number) if number else ""
