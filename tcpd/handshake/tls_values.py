"""The values of TLS, for layers 5 and 6."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tcpd.handshake.client_hello import ECH, ClientHello
from tcpd.handshake.facts import Tls
from tcpd.handshake.ja4 import ja4
from tcpd.handshake.tls_names import (
    cipher_name,
    extension_name,
    group_name,
    is_post_quantum,
    is_post_quantum_name,
    signature_algorithm_name,
    version_name,
)
from tcpd.handshake.values import Value, derived, known, seen, unavailable

_NOT_PUBLIC = "the TLS library has no public API for it"
_NO_TLS = "there is no TLS on this connection"
_NO_HELLO = (
    "the ClientHello was not kept: the service does not show handshakes, or it is longer than 16 "
    "KiB"
)

#: The most items of an offer in the report. Real clients offer fewer.
_MOST_OFFERED = 100

_TLS = (
    ("version", "TLS version"),
    ("cipher", "cipher suite"),
    ("group", "key exchange"),
    ("alpn", "ALPN"),
    ("server_name", "server name (SNI)"),
    ("client", "client certificate"),
)


def tls_session_values(tls: Tls | None) -> Iterator[Value]:
    """Yield the values of layer 5."""
    resumed = None if tls is None else tls.resumed
    why = _NO_TLS if tls is None else _NOT_PUBLIC
    yield known("tls_resumed", "TLS session resumed", resumed, why=why)
    if tls is not None and tls.hello is not None:
        yield seen("tls_offered_resumption", "resumption offered", tls.hello.resumption or None)


def tls_values(tls: Tls | None) -> Iterator[Value]:
    """Yield the values of layer 6: what was negotiated, and what the ClientHello offered."""
    yield seen("tls", "TLS", tls is not None)
    if tls is None:
        return
    for name, label in _TLS:
        value: str | None = getattr(tls, name)
        if value == "":  # known to be absent
            yield seen(f"tls_{name}", label, None)
        else:
            yield known(f"tls_{name}", label, value, why=_NOT_PUBLIC)
    if tls.group is not None:
        post_quantum = is_post_quantum_name(tls.group)
        yield derived("tls_post_quantum", "post-quantum", post_quantum, why="by the key exchange")
    if tls.hello is None:
        yield unavailable("tls_ja4", "JA4", _NO_HELLO)
    else:
        yield from _offers(tls.hello)


def _offers(hello: ClientHello) -> Iterator[Value]:
    """Yield what the ClientHello offers."""
    groups = hello.groups
    yield derived("tls_ja4", "JA4", ja4(hello), why="from the ClientHello")
    yield _offer("tls_offered_versions", "offered versions", hello.versions, version_name)
    yield _offer("tls_offered_groups", "offered groups", groups, group_name)
    yield _offer("tls_key_shares", "key shares", hello.key_shares, group_name)
    post_quantum = tuple(group for group in groups if is_post_quantum(group))
    yield _offer("tls_offered_post_quantum", "post-quantum offered", post_quantum, group_name)
    yield _offer(
        "tls_offered_signature_algorithms",
        "signature algorithms",
        hello.signature_algorithms,
        signature_algorithm_name,
    )
    protocols = tuple(
        name.decode("utf-8", "backslashreplace") for name in hello.alpn[:_MOST_OFFERED]
    )
    yield seen("tls_offered_alpn", "offered ALPN", protocols)
    ech = hello.extension(ECH) is not None
    remark = "a client without keys sends a dummy that looks the same" if ech else ""
    yield seen("tls_offered_ech", "ECH offered", ech, why=remark)
    extensions = tuple(number for number, _ in hello.extensions)
    for name, label, numbers, name_of in (
        ("tls_offered_ciphers", "offered cipher suites", hello.ciphers, cipher_name),
        ("tls_extensions", "TLS extensions", extensions, extension_name),
    ):
        names = tuple(map(name_of, numbers[:_MOST_OFFERED]))
        yield seen(name, label, names, text=str(len(numbers)))


def _offer(name: str, label: str, numbers: Sequence[int], name_of: Callable[[int], str]) -> Value:
    return seen(name, label, tuple(map(name_of, numbers[:_MOST_OFFERED])))
