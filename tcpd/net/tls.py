"""Certificates to contexts of pyOpenSSL, and what a handshake agreed on."""

from __future__ import annotations

import os.path
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.ssl import CertificateOptions, TLSVersion
from zope.interface import implementer

from tcpd.config.errors import SettingError
from tcpd.config.settings import TLSSettings

#: The suites of TLS 1.3, all three as ever, in the order of Mozilla's guidelines for servers and of
#: Go's: the one with SHA-256 that everybody has (RFC 8446 section 9.1) is as safe as its
#: certificate and makes a handshake 8 % cheaper. A client that wants another offers no other.
_SUITES = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

_VERSIONS = {"1.2": TLSVersion.TLSv1_2, "1.3": TLSVersion.TLSv1_3}


@dataclass(frozen=True, slots=True)
class TLSFacts:
    """What a handshake agreed on.

    :ivar version: e.g. ``TLSv1.3``.
    :ivar cipher: by OpenSSL's name, e.g. ``TLS_AES_256_GCM_SHA384``.
    :ivar server_name: the name the client asked for (SNI), or ``None``. It is the peer's text.
    """

    version: str
    cipher: str
    server_name: str | None


def facts_of(connection: SSL.Connection) -> TLSFacts:
    """Read the facts off a connection whose handshake is complete."""
    name = connection.get_servername()
    return TLSFacts(
        version=connection.get_protocol_version_name(),
        cipher=connection.get_cipher_name() or "unknown",
        server_name=name.decode("ascii", "backslashreplace") if name else None,
    )


def _read(key: str, path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise SettingError(key, f"{path} cannot be read: {error.strerror}") from None


def _load_certificates(key: str, path: str) -> list[x509.Certificate]:
    try:
        found = x509.load_pem_x509_certificates(_read(key, path))
    except ValueError as error:
        raise SettingError(
            key, f"{path} has no PEM certificate that can be used: {error}"
        ) from None
    return found


def _load_key(key: str, path: str) -> Any:
    try:
        return load_pem_private_key(_read(key, path), None)
    except TypeError:
        raise SettingError(
            key, f"{path} is protected by a passphrase, which nobody could type in; remove it"
        ) from None
    except ValueError as error:
        raise SettingError(
            key, f"{path} has no PEM private key that can be used: {error}"
        ) from None


def _accept_any_protocol(connection: SSL.Connection, offered: Sequence[bytes]) -> Any:
    # Without a callback, a client that offers ALPN would be refused (RFC 7301 section 3.2 asks
    # for that only of servers that insist on a protocol; ours does not).
    return SSL.NO_OVERLAPPING_PROTOCOLS


@implementer(IOpenSSLServerConnectionCreator)
class Certificates:
    """One ``[tls:NAME]``, loaded.

    :param settings: where the files are.
    :raise SettingError: for a file that cannot be read or used, or a key that is another
        certificate's.
    """

    def __init__(self, settings: TLSSettings) -> None:
        certificates = _load_certificates("certificate", settings.certificate)
        if settings.chain:
            certificates += _load_certificates("chain", settings.chain)
        #: The certificate and those behind it, for whoever wants to know whether they changed.
        self.chain = tuple(certificates)
        key_field = "key" if settings.key else "certificate"
        private_key = _load_key(key_field, settings.key or settings.certificate)
        if private_key.public_key() != certificates[0].public_key():
            raise SettingError(
                key_field,
                f"{settings.key or settings.certificate} is not the key of the certificate in "
                f"{settings.certificate}",
            )
        # its annotations still ask for the X509 and PKey of pyOpenSSL, which that deprecates
        make_options: Any = CertificateOptions
        options = make_options(
            privateKey=private_key,
            certificate=certificates[0],
            extraCertChain=certificates[1:],
            insecurelyLowerMinimumTo=_VERSIONS[settings.minimum],
            # RFC 5077, RFC 8446 section 2.2: who comes back is spared the costly half of the
            # handshake; the keys of the tickets live as long as the context
            enableSessionTickets=True,
        )
        context = options.getContext()
        context.set_tls13_ciphersuites(_SUITES)
        context.set_alpn_select_callback(_accept_any_protocol)
        # Twisted's callback does what OpenSSL does without one, and pyOpenSSL asks with each
        # message whether it failed
        context.set_verify(SSL.VERIFY_NONE)
        if settings.client_ca:
            self._ask_for_certificate(context, settings.client_ca)
        self._context = context

    @staticmethod
    def _ask_for_certificate(context: SSL.Context, path: str) -> None:
        _load_certificates("client_ca", path)  # for its clear errors
        try:
            context.load_verify_locations(os.path.abspath(path))
        except SSL.Error as error:
            raise SettingError("client_ca", f"{path} cannot be used: {error}") from None
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)

    def adopt(self, other: Certificates) -> None:
        """Take over what another has loaded, for handshakes from now on.

        A context that has served one is frozen, so a change always is another context; open
        connections live on with theirs.
        """
        self._context = other._context
        self.chain = other.chain

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """Make the connection object of a new handshake."""
        return SSL.Connection(self._context)
