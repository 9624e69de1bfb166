"""Why a TLS handshake with a client failed, and whether that is the client's misbehaviour."""

from __future__ import annotations

from dataclasses import dataclass

from OpenSSL import SSL

from tcpd.policy.reasons import End

#: OpenSSL's reasons where a well-formed hello has nothing in common with what we speak.
_NOTHING_IN_COMMON = frozenset(
    (
        "inappropriate fallback",
        "no application protocol",
        "no shared cipher",
        "no shared groups",
        "no shared signature algorithms",
        "no suitable groups",
        "no suitable key share",
        "no suitable signature algorithm",
        "unsupported protocol",
        "version too low",
        "wrong ssl version",
    )
)
#: How its reasons begin where the other side has sent an alert. In some the word alert is missing:
#: "tlsv1 unrecognized name".
_ALERTS = ("ssl/tls alert ", "sslv3 alert ", "tls alert ", "tlsv1 ", "tlsv13 ")

#: OpenSSL's ERR_R_MALLOC_FAILURE.
_NO_MEMORY = "malloc failure"

#: OpenSSL's state while it has not read a whole hello.
_NO_HELLO = b"before SSL initialization"


@dataclass(frozen=True, slots=True)
class TLSFault:
    """What became of a handshake.

    :ivar end: ``NO_MEMORY`` if it is our fault, ``TLS_REFUSED`` if the client does not want to go
        on or has nothing in common with us, ``TLS_FAILED`` if what it sent is no handshake.
    :ivar reason: OpenSSL's own words, or that the connection was closed; no text of a peer's.
    """

    end: End
    reason: str


def reasons_of(error: BaseException | None) -> list[str]:
    """OpenSSL's reasons in an error of pyOpenSSL's; empty for any other."""
    queue = error.args[0] if isinstance(error, SSL.Error) and error.args else None
    # library, function, reason
    return [each[-1] for each in queue if each[-1]] if isinstance(queue, list) else []


def is_no_memory(error: BaseException | None) -> bool:
    """Whether something failed for want of memory, by Python's word or OpenSSL's."""
    return isinstance(error, MemoryError) or _NO_MEMORY in reasons_of(error)


def handshake_fault(error: BaseException | None, tls: SSL.Connection | None) -> TLSFault:
    """Judge a handshake that is over and not complete.

    :param error: OpenSSL's; ``None`` where the connection went before that.
    :param tls: the server's side; ``None`` where not even a first record was whole.
    """
    reasons = reasons_of(error)
    if is_no_memory(error):
        return TLSFault(End.NO_MEMORY, ", ".join(reasons))
    if not reasons:
        # a client that closes on our certificate without an alert, as some do
        refused = tls is not None and tls.get_state_string() != _NO_HELLO
        reason = "the connection was closed in the handshake"
    else:
        refused = reasons[0] in _NOTHING_IN_COMMON or reasons[0].startswith(_ALERTS)
        reason = ", ".join(reasons)
    return TLSFault(End.TLS_REFUSED if refused else End.TLS_FAILED, reason)
