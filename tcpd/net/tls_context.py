"""What OpenSSL is told for a server: versions, suites, tickets, certificates, whom to ask for one.

pyOpenSSL takes a chain that belongs to one of several certificates, and authorities, only from
files. Theirs were read already, and may be others by now, so it gets a copy that is in memory.
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
from tcpd.net.tls_files import Loaded, Pair

#: The suites of TLS 1.3, all three as ever, in the order of Mozilla's guidelines for servers and of
#: Go's: the one with SHA-256 that everybody has (RFC 8446 section 9.1) is as safe as its
#: certificate and makes a handshake 8 % cheaper. A client that wants another offers no other.
_SUITES = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

#: The same of TLS 1.2, and no others: an ephemeral key exchange and authenticated encryption
#: (RFC 9325 section 4.2). What speaks TLS 1.2 and none of these is from before 2014.
_CIPHERS = b":".join(
    b"ECDHE-%s-%s" % (key, cipher)
    for cipher in (b"AES128-GCM-SHA256", b"AES256-GCM-SHA384", b"CHACHA20-POLY1305")
    for key in (b"ECDSA", b"RSA")
)

_VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}

# pyOpenSSL has no names for these of openssl/ssl.h
_NO_RENEGOTIATION = 1 << 30
_NO_AUTOMATIC_CHAIN = 1 << 3

#: Whom a session belongs to: whatever context of a ``[tls:NAME]`` it began on, the others may
#: resume it, for they ask the same of clients. Only its own tickets can be read by a
#: ``[tls:NAME]``, so that one name does for all.
_SESSIONS_OF = b"tcpd"


def _accept_any_protocol(connection: SSL.Connection, offered: Sequence[bytes]) -> Any:
    # Without a callback, a client that offers ALPN would be refused (RFC 7301 section 3.2 asks
    # for that only of servers that insist on a protocol; ours does not).
    return SSL.NO_OVERLAPPING_PROTOCOLS


def _choose_of(ours: Sequence[bytes]) -> Callable[[SSL.Connection, Sequence[bytes]], Any]:
    """What chooses a protocol for a client that offers some.

    :param ours: the best first.
    """

    def choose(connection: SSL.Connection, offered: Sequence[bytes]) -> Any:
        for name in ours:
            if name in offered:
                return name
        # pyOpenSSL has no other way to the alert that RFC 7301 section 3.2 asks for: a client that
        # wants another protocol may have been sent here by somebody between (ALPACA)
        raise SSL.Error([("", "", "the client offers none of our protocols (ALPN)")])

    return choose


def make_context(pairs: Sequence[Pair], loaded: Loaded, settings: TLSSettings) -> SSL.Context:
    """Make a context.

    :param pairs: what to show clients, with keys of different types.
    :param loaded: for the authorities of clients.
    :raise SettingError: if OpenSSL does not take them.
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(_VERSIONS[settings.minimum])
    # OpenSSL refuses a client that renegotiates (from 3.0 on); the option says so to clients of 1.2
    context.set_options(
        SSL.OP_NO_COMPRESSION
        | SSL.OP_CIPHER_SERVER_PREFERENCE
        | SSL.OP_SINGLE_ECDH_USE
        | _NO_RENEGOTIATION
    )
    # what clients are shown is in the files, and not also what is known of their authorities
    context.set_mode(SSL.MODE_RELEASE_BUFFERS | _NO_AUTOMATIC_CHAIN)
    context.set_cipher_list(_CIPHERS)
    context.set_tls13_ciphersuites(_SUITES)
    # RFC 5077, RFC 8446 section 2.2: who comes back is spared the costly half of the handshake by
    # a ticket, which costs the server no memory; the keys of the tickets live as long as the
    # context that a handshake begins on
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_session_id(_SESSIONS_OF)
    ours = [name.encode("ascii") for name in settings.alpn]
    context.set_alpn_select_callback(_choose_of(ours) if ours else _accept_any_protocol)
    for pair in pairs:
        try:
            _show(context, pair)
        except (SSL.Error, crypto.Error) as error:
            raise SettingError(
                "certificate", f"{pair.file} is not taken by OpenSSL: {_reason(error)}"
            ) from None
    if loaded.authorities:
        try:
            with _in_memory(loaded.authorities) as path:
                context.load_verify_locations(path)
        except SSL.Error as error:
            raise SettingError(
                "client_ca", f"{settings.client_ca} is not taken by OpenSSL: {_reason(error)}"
            ) from None
        required = settings.client_certificate == "required"
        context.set_verify(
            SSL.VERIFY_PEER | (SSL.VERIFY_FAIL_IF_NO_PEER_CERT if required else SSL.VERIFY_NONE)
        )
    return context


def _show(context: SSL.Context, pair: Pair) -> None:
    if len(pair.chain) == 1:
        context.use_certificate(pair.chain[0])
    else:
        pem = b"".join(each.public_bytes(Encoding.PEM) for each in pair.chain)
        with _in_memory(pem) as path:
            context.use_certificate_chain_file(path)
    context.use_privatekey(pair.key)


@contextlib.contextmanager
def _in_memory(data: bytes) -> Iterator[str]:
    """A path that can be opened for as long as the block lasts. No secret goes there."""
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
    """What OpenSSL says, without where in its code."""
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "; ".join(entry[-1] for entry in queue if entry[-1]) or "it does not say why"
