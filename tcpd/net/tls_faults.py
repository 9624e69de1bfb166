"""Classification of failed TLS handshakes: refused by a peer, or misbehaviour of the client."""

from __future__ import annotations

from dataclasses import dataclass

from OpenSSL import SSL, crypto

from tcpd.policy.reasons import End

#: OpenSSL's reasons for a valid ClientHello without a version, suite or protocol in common.
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
#: The prefixes of its reasons for an alert from the client. Some lack the word alert, such as
#: "tlsv1 unrecognized name".
_ALERTS = ("ssl/tls alert ", "sslv3 alert ", "tls alert ", "tlsv1 ", "tlsv13 ")

#: OpenSSL's ERR_R_MALLOC_FAILURE.
_NO_MEMORY = "malloc failure"

#: OpenSSL's state before a complete ClientHello.
_NO_HELLO = b"before SSL initialization"


@dataclass(frozen=True, slots=True)
class TLSFault:
    """Why a handshake failed.

    :ivar end: ``NO_MEMORY`` for a lack of memory, ``TLS_REFUSED`` if the client refuses or has
        nothing in common with the server, ``TLS_FAILED`` if the input is not a handshake.
    :ivar reason: OpenSSL's reason, or that the connection was closed; no text from a peer.
    """

    end: End
    reason: str


def reasons_of(error: BaseException | None) -> list[str]:
    """Return OpenSSL's reasons in an exception of pyOpenSSL; empty for any other."""
    ours = isinstance(error, SSL.Error | crypto.Error)
    queue = error.args[0] if ours and error and error.args else None
    # entries are tuples of library, function, reason
    return [each[-1] for each in queue if each[-1]] if isinstance(queue, list) else []


def is_no_memory(error: BaseException | None) -> bool:
    """Whether an exception is a lack of memory in Python or in OpenSSL."""
    return isinstance(error, MemoryError) or _NO_MEMORY in reasons_of(error)


def handshake_fault(error: BaseException | None, tls: SSL.Connection | None) -> TLSFault:
    """Classify a handshake that has ended without success.

    :param error: OpenSSL's; ``None`` if the connection was closed.
    :param tls: the server's side; ``None`` if the first record was incomplete.
    """
    reasons = reasons_of(error)
    if is_no_memory(error):
        return TLSFault(End.NO_MEMORY, ", ".join(reasons))
    if not reasons:
        # some clients refuse a certificate by closing without an alert
        refused = tls is not None and tls.get_state_string() != _NO_HELLO
        reason = "the connection was closed in the handshake"
    else:
        refused = reasons[0] in _NOTHING_IN_COMMON or reasons[0].startswith(_ALERTS)
        reason = ", ".join(reasons)
    return TLSFault(End.TLS_REFUSED if refused else End.TLS_FAILED, reason)
