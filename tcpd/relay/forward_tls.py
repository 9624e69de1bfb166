"""TLS to the far side: trusted authorities, client certificate, verification of the name."""

from __future__ import annotations

import ipaddress
import os.path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from service_identity import CertificateError, VerificationError
from service_identity.pyopenssl import verify_hostname, verify_ip_address
from twisted.internet.ssl import CertificateOptions, TLSVersion

from tcpd.config.errors import SettingError
from tcpd.config.files import Unreadable, read_file
from tcpd.net.tls import new_connection
from tcpd.relay.target import is_host_name

#: Texts of common X509_V_ERR_ numbers (x509_vfy.h); pyOpenSSL has no public API for them.
_UNTRUSTED = {
    9: "it is not yet valid",
    10: "it has expired",
    18: "it is self-signed and not trusted",
    19: "its chain ends in an untrusted self-signed certificate",
    20: "its issuer is not among the trusted authorities",
    21: "its issuer is not among the trusted authorities",
    23: "it is revoked",
    26: "it is not a server certificate",
}


class FarTLS:
    """The TLS settings of one service's far side. Made at startup and by reloads that change them.

    :param name: the name or IP address that the certificate must match. A trailing dot (an absolute
        name in DNS) is removed: neither certificates nor SNI have it (RFC 9525 section 6.3, RFC
        6066 section 3).
    :param ca: the path of a PEM file of authorities; empty for the system's.
    :param certificate: the path of a PEM file with the client certificate; empty for none.
    :param key: the path of its private key; empty if it is in the same file.
    :raise SettingError: for an unusable file, or if the name is not a host name.
    """

    def __init__(self, name: str, ca: str, certificate: str, key: str) -> None:
        self.name = name.removesuffix(".")
        self._address = _address(self.name)
        self._host = "" if self._address else _encoded(name)
        own: dict[str, Any] = {}
        if certificate:
            own = _own(certificate, key)
        # its annotations use deprecated pyOpenSSL types
        make_options: Any = CertificateOptions
        context = make_options(**own, insecurelyLowerMinimumTo=TLSVersion.TLSv1_2).getContext()
        if ca:
            _trust(context, ca)
        else:
            context.set_default_verify_paths()
        self._context = context

    def connect(self) -> FarHandshake:
        """Make the state of one handshake."""
        return FarHandshake(self)

    def _connection(self) -> SSL.Connection:
        connection = new_connection(self._context)
        if self._host:
            connection.set_tlsext_host_name(self._host.encode("ascii"))
        return connection

    def _verify(self, connection: SSL.Connection) -> None:
        if self._address:
            verify_ip_address(connection, self.name)
        else:
            verify_hostname(connection, self._host)


class FarHandshake:
    """One handshake with the far side.

    :ivar error: OpenSSL's first verification error; 0 for none.
    """

    def __init__(self, tls: FarTLS) -> None:
        self.error = 0
        self._tls = tls

    def connection(self) -> SSL.Connection:
        """Make the OpenSSL connection."""
        connection = self._tls._connection()
        connection.set_verify(SSL.VERIFY_PEER, self._noted)
        connection.set_connect_state()
        return connection

    def wrong_name(self, connection: SSL.Connection) -> str:
        """Check the name in the certificate (RFC 6125, RFC 9525); the handshake does not.

        :return: an error text; empty if the name matches.
        """
        try:
            self._tls._verify(connection)
        except VerificationError:
            return f"its certificate is not for {self._tls.name}"
        except CertificateError as error:
            return f"its certificate cannot be matched to {self._tls.name}: {error}"
        return ""

    @property
    def untrusted(self) -> str:
        """Why the certificate is not trusted; empty if it is, or none was received."""
        if not self.error:
            return ""
        why = _UNTRUSTED.get(self.error, f"OpenSSL's error {self.error}")
        return f"its certificate is not trusted: {why}"

    def _noted(
        self, connection: SSL.Connection, certificate: object, error: int, depth: int, ok: int
    ) -> bool:
        """Record OpenSSL's first error, and keep its verdict. Called during the handshake."""
        if not ok and not self.error:
            self.error = error
        return bool(ok)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _encoded(name: str) -> str:
    """Convert a name to A-labels, as certificates and SNI have it (RFC 6066 section 3)."""
    try:
        encoded = name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError:
        encoded = ""
    encoded = encoded.removesuffix(".")  # IDNA maps other dots to ASCII's
    if encoded.endswith(".") or not is_host_name(encoded):
        raise SettingError("tls_name", f"{name!r} is not a host name")
    return encoded


def _read(key: str, path: str) -> bytes:
    try:
        return read_file(path)[0]
    except Unreadable as error:
        raise SettingError(
            key, f"{path} cannot be read ({error}); name a file that the daemon may read"
        ) from None


def _certificates(key: str, path: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(key, path))
    except ValueError as error:
        raise SettingError(
            key, f"{path} has no PEM certificate that can be used: {error}"
        ) from None


def _own(certificate: str, key: str) -> dict[str, Any]:
    """Load the client certificate: arguments of CertificateOptions."""
    chain = _certificates("certificate", certificate)
    field = "key" if key else "certificate"
    path = key or certificate
    try:
        private_key = load_pem_private_key(_read(field, path), None)
    except TypeError:
        raise SettingError(
            field, f"{path} is protected by a passphrase; remove the passphrase"
        ) from None
    except ValueError as error:
        raise SettingError(
            field, f"{path} has no PEM private key that can be used: {error}"
        ) from None
    if private_key.public_key() != chain[0].public_key():
        raise SettingError(field, f"{path} is not the key of the certificate in {certificate}")
    return {"privateKey": private_key, "certificate": chain[0], "extraCertChain": chain[1:]}


def _trust(context: SSL.Context, path: str) -> None:
    _certificates("ca", path)  # for clearer errors
    try:
        context.load_verify_locations(os.path.abspath(path))
    except SSL.Error as error:
        raise SettingError("ca", f"{path} cannot be used: {error}") from None
