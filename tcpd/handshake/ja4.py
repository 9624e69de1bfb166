"""Computes JA4, the fingerprint of a TLS client (FoxIO, ``technical_details/JA4.md``).

JA4 itself, unlike the other methods of JA4+, is under a BSD licence. The fingerprint identifies
the TLS library and its settings, not a person or a program.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from tcpd.handshake.client_hello import ALPN, SERVER_NAME, ClientHello
from tcpd.handshake.tls_names import is_grease

_VERSIONS = {
    0x0304: "13",
    0x0303: "12",
    0x0302: "11",
    0x0301: "10",
    0x0300: "s3",
    0x0002: "s2",
}

#: The hash of an empty list.
_EMPTY = "000000000000"


def ja4(hello: ClientHello) -> str:
    """Return the fingerprint, such as ``t13d1516h2_8daaf6152771_e5627efa2ab1``.

    The parts are: ``t`` for TLS over TCP, the highest version, ``d`` with SNI or ``i`` without, the
    numbers of cipher suites and extensions, the first ALPN value; a hash of the cipher suites; a
    hash of the extensions and signature algorithms.
    """
    ciphers = _without_grease(hello.ciphers)
    extensions = _without_grease(number for number, _ in hello.extensions)
    versions = _without_grease(hello.versions)
    version = _VERSIONS.get(max(versions, default=0), "00")
    name = "d" if SERVER_NAME in extensions else "i"
    counts = f"{min(len(ciphers), 99):02}{min(len(extensions), 99):02}"
    hashed = _hex(sorted(_hashed(extensions)))
    algorithms = _hex(_without_grease(hello.signature_algorithms))
    if hashed and algorithms:
        hashed = f"{hashed}_{algorithms}"
    return f"t{version}{name}{counts}{_alpn(hello)}_{_hash(_hex(sorted(ciphers)))}_{_hash(hashed)}"


def _hashed(extensions: Iterable[int]) -> list[int]:
    """Remove the two extensions that the first part of the fingerprint covers."""
    return [number for number in extensions if number not in (SERVER_NAME, ALPN)]


def _alpn(hello: ClientHello) -> str:
    """Return the first and last characters of the first value, or of its hexadecimal form."""
    value = next((each for each in hello.alpn if not _is_grease_name(each)), b"")
    if not value:
        return "00"
    ends = bytes((value[0], value[-1]))
    if ends.isalnum():  # of bytes: ASCII only
        return ends.decode("ascii")
    return value[:1].hex()[0] + value[-1:].hex()[1]


def _is_grease_name(name: bytes) -> bool:
    return len(name) == 2 and is_grease(int.from_bytes(name, "big"))


def _without_grease(numbers: Iterable[int]) -> list[int]:
    return [number for number in numbers if not is_grease(number)]


def _hex(numbers: Iterable[int]) -> str:
    return ",".join(f"{number:04x}" for number in numbers)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:12] if text else _EMPTY
