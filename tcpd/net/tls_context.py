"""OpenSSL contexts of servers: versions, cipher suites, tickets, certificates, client certificates.

pyOpenSSL loads chains and authorities only from files. The configured files have been read already
and may change, so pyOpenSSL gets in-memory copies.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL, crypto

from tcpd.config.errors import SettingError
from tcpd.config.settings import TLSSettings
from tcpd.net.tls_faults import reasons_of
from tcpd.net.tls_files import LoadedFiles, Pair

#: The cipher suites of TLS 1.3, in the order of Mozilla's guidelines and of Go. The first is
#: mandatory (RFC 8446 section 9.1) and makes a handshake 8 % cheaper than the default order.
_SUITES = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

#: The same for TLS 1.2: only ephemeral key exchange and authenticated encryption (RFC 9325
#: section 4.2). Only clients from before 2014 support none of them.
_CIPHERS = b":".join(
    b"ECDHE-%s-%s" % (key, cipher)
    for cipher in (b"AES128-GCM-SHA256", b"AES256-GCM-SHA384", b"CHACHA20-POLY1305")
    for key in (b"ECDSA", b"RSA")
)

_VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}

# constants of openssl/ssl.h that pyOpenSSL does not name
_NO_RENEGOTIATION = 1 << 30
_NO_AUTOMATIC_CHAIN = 1 << 3

#: The session id context. All contexts of a ``[tls:NAME]`` share it, because they have the same
#: requirements for clients. Other sections cannot decrypt its tickets, so one value is enough.
_SESSION_ID_CONTEXT = b"tcpd"


def _accept_any_protocol(connection: SSL.Connection, offered: Sequence[bytes]) -> Any:
    # without a callback, pyOpenSSL refuses clients that offer ALPN
    return SSL.NO_OVERLAPPING_PROTOCOLS


def _alpn_callback(ours: Sequence[bytes]) -> Callable[[SSL.Connection, Sequence[bytes]], Any]:
    """Make the callback that selects the ALPN protocol.

    :param ours: the server's protocols, in order of preference.
    """

    def choose(connection: SSL.Connection, offered: Sequence[bytes]) -> Any:
        for name in ours:
            if name in offered:
                return name
        # an error is pyOpenSSL's only way to send the alert no_application_protocol (RFC 7301
        # section 3.2), which prevents cross-protocol attacks (ALPACA)
        raise SSL.Error([("", "", "the client offers none of our protocols (ALPN)")])

    return choose


def make_context(pairs: Sequence[Pair], loaded: LoadedFiles, settings: TLSSettings) -> SSL.Context:
    """Make a context.

    :param pairs: certificates and keys, each of a different key type.
    :param loaded: for ``client_ca``.
    :raise SettingError: if OpenSSL refuses a certificate or key.
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(_VERSIONS[settings.minimum])
    # from 3.0 on OpenSSL refuses renegotiation; the option makes it send an alert in TLS 1.2
    context.set_options(
        SSL.OP_NO_COMPRESSION
        | SSL.OP_CIPHER_SERVER_PREFERENCE
        | SSL.OP_SINGLE_ECDH_USE
        | _NO_RENEGOTIATION
    )
    # the chain sent is the configured one, not completed from client_ca
    context.set_mode(SSL.MODE_RELEASE_BUFFERS | _NO_AUTOMATIC_CHAIN)
    context.set_cipher_list(_CIPHERS)
    context.set_tls13_ciphersuites(_SUITES)
    # clients resume sessions by tickets (RFC 5077, RFC 8446 section 2.2), which need no memory in
    # the server; the default context has the ticket keys
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_session_id(_SESSION_ID_CONTEXT)
    ours = [name.encode("ascii") for name in settings.alpn]
    context.set_alpn_select_callback(_alpn_callback(ours) if ours else _accept_any_protocol)
    for pair in pairs:
        try:
            _use(context, pair)
        except (SSL.Error, crypto.Error) as error:
            raise SettingError(
                "certificate", f"{pair.file} is rejected by OpenSSL: {_reason(error)}"
            ) from None
    if loaded.authorities:
        try:
            with _in_memory(loaded.authorities) as path:
                context.load_verify_locations(path)
        except SSL.Error as error:
            raise SettingError(
                "client_ca", f"{settings.client_ca} is rejected by OpenSSL: {_reason(error)}"
            ) from None
        required = settings.client_certificate == "required"
        context.set_verify(
            SSL.VERIFY_PEER | (SSL.VERIFY_FAIL_IF_NO_PEER_CERT if required else SSL.VERIFY_NONE)
        )
    return context


def _use(context: SSL.Context, pair: Pair) -> None:
    if len(pair.chain) == 1:
        context.use_certificate(pair.chain[0])
    else:
        pem = b"".join(each.public_bytes(Encoding.PEM) for each in pair.chain)
        with _in_memory(pem) as path:
            context.use_certificate_chain_file(path)
    context.use_privatekey(pair.key)


@contextlib.contextmanager
def _in_memory(data: bytes) -> Iterator[str]:
    """Yield a path at which the data can be opened. Not for secrets."""
    with contextlib.ExitStack() as stack:
        if hasattr(os, "memfd_create") and os.path.exists("/proc/self/fd"):
            file: Any = stack.enter_context(open(os.memfd_create("tcpd"), "wb"))
            path = f"/proc/self/fd/{file.fileno()}"
        else:
            file = stack.enter_context(tempfile.NamedTemporaryFile())
            path = file.name
        file.write(data)
        file.flush()
        yield path


def _reason(error: Exception) -> str:
    return "; ".join(reasons_of(error)) or "no reason given"
