"""The certificates of listeners, selected by SNI, and the result of a handshake."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer

from tcpd.config.errors import SettingError
from tcpd.config.settings import TLSSettings
from tcpd.net.tls_context import make_context
from tcpd.net.tls_files import ExposedKey, LoadedFiles, Pair, Stamp, load
from tcpd.net.tls_names import NameTable, alternative_names

#: The result of SSL_state_string_long(3) for a null pointer.
_NO_CONNECTION = b"error"


@dataclass(frozen=True, slots=True)
class TLSFacts:
    """The result of a handshake.

    :ivar version: such as ``TLSv1.3``.
    :ivar cipher: OpenSSL's name, such as ``TLS_AES_256_GCM_SHA384``.
    :ivar server_name: the SNI, or ``None``: unescaped input from the client, without a trailing
        dot (RFC 6066 section 3).
    :ivar fingerprint: SHA-256 of the client's certificate in hexadecimal digits; ``None`` without
        one. The certificate has been verified against ``client_ca``.
    :ivar subject: the subject of the client's certificate in the form of RFC 4514, such as
        ``CN=ann,O=Example``. An authority signed it, but it may contain any characters.
    :ivar client_names: the alternative names of that certificate: DNS names, mail and IP
        addresses, URIs. They may contain any characters, too.
    """

    version: str
    cipher: str
    server_name: str | None
    fingerprint: str | None = None
    subject: str | None = None
    client_names: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return version, cipher suite and the client's certificate, for logs."""
        text = f"{self.version} {self.cipher}"
        if self.fingerprint is None:
            return text
        return f"{text}, client {self.subject or '(no subject)'} sha256:{self.fingerprint}"


def facts_of(connection: SSL.Connection) -> TLSFacts:
    """Return the facts of a connection whose handshake is complete."""
    name = connection.get_servername()
    client = connection.get_peer_certificate(as_cryptography=True)
    return TLSFacts(
        connection.get_protocol_version_name(),
        connection.get_cipher_name() or "unknown",
        (name or b"").decode("ascii", "backslashreplace").removesuffix(".") or None,
        *(() if client is None else _client_of(client)),
    )


def _client_of(certificate: x509.Certificate) -> tuple[str, str, tuple[str, ...]]:
    fingerprint = certificate.fingerprint(hashes.SHA256()).hex()
    kinds = (x509.DNSName, x509.RFC822Name, x509.IPAddress, x509.UniformResourceIdentifier)
    try:
        names = alternative_names(certificate) or ()
        texts = tuple(str(each.value) for each in names if isinstance(each, kinds))
        return fingerprint, certificate.subject.rfc4514_string(), texts
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        # OpenSSL accepts the file, but cryptography cannot parse it
        return fingerprint, "", ()


@implementer(IOpenSSLServerConnectionCreator)
class Certificates:
    """The loaded certificates and keys of one ``[tls:NAME]``.

    :param settings: names the files.
    :param credentials: systemd's credentials directory; ``None`` for none.
    :raise SettingError: for a file that cannot be read or used, a key that belongs to no
        certificate, or a certificate that would never be selected.

    :ivar settings: the same.
    """

    def __init__(self, settings: TLSSettings, credentials: str | None = None) -> None:
        self.settings = settings
        self._loaded = load(settings, credentials)
        self._context = _contexts(self._loaded, settings)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The certificates, in the order of the ini file."""
        return self._loaded.pairs

    @property
    def exposed(self) -> tuple[ExposedKey, ...]:
        """The key files that every user can read or write."""
        return self._loaded.exposed

    @property
    def stamps(self) -> Mapping[str, Stamp]:
        """The state of each file before it was read, by path; see
        :func:`tcpd.net.tls_files.stamp_of`."""
        return self._loaded.stamps

    def has_name(self, name: str) -> bool:
        """Whether a certificate is valid for a DNS name, exactly or by a wildcard."""
        names = [(each, True) for pair in self.pairs for each in pair.names]
        return bool(NameTable(names).find(name.encode("utf-8")))

    def has_address(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        """Whether a certificate is valid for an IP address."""
        return any(x509.IPAddress(address) in pair.valid_for for pair in self.pairs)

    def same_certificates(self, other: Certificates) -> bool:
        """Whether both have the same certificates."""
        return self.pairs == other.pairs

    def adopt(self, other: Certificates) -> bool:
        """Take over the files that another has loaded, for new handshakes.

        Open connections keep their context. If nothing has changed, the context stays, and with it
        the keys of session tickets.

        :return: whether anything has changed.
        """
        changed = (self.settings, self._loaded) != (other.settings, other._loaded)
        self.settings = other.settings
        self._loaded = other._loaded  # the stamps are not compared
        if changed:
            self._context = other._context
        return changed

    def rotate(self) -> None:
        """Replace the keys of session tickets, which limits what a stolen key can decrypt.

        Clients with older tickets make a full handshake.
        """
        self._context = _contexts(self._loaded, self.settings)

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """See :class:`~twisted.internet.interfaces.IOpenSSLServerConnectionCreator`."""
        return new_connection(self._context)


def new_connection(context: SSL.Context) -> SSL.Connection:
    """Make an OpenSSL connection.

    :raise MemoryError: if OpenSSL returns a null pointer. pyOpenSSL does not check for it, and the
        next call would crash the process.
    """
    connection = SSL.Connection(context)
    if connection.get_state_string() == _NO_CONNECTION:
        raise MemoryError("OpenSSL has no memory for a connection")
    return connection


def _contexts(loaded: LoadedFiles, settings: TLSSettings) -> SSL.Context:
    """Make the default context, with a callback that selects the contexts of other names.

    The context of a name has the first certificate for it of each key type. Names with the same
    certificates share a context.
    """
    first = loaded.pairs[0]
    default = {first.key_type: first}
    by_name: dict[str, dict[str, Pair]] = {}
    for pair in loaded.pairs:
        for name in pair.names:
            by_name.setdefault(name, {}).setdefault(pair.key_type, pair)
        if pair.covers(first):
            default.setdefault(pair.key_type, pair)
    made: dict[tuple[int, ...], SSL.Context] = {}

    def context_for(chosen: Mapping[str, Pair]) -> SSL.Context:
        key = tuple(sorted(id(pair) for pair in chosen.values()))
        if key not in made:
            made[key] = make_context(tuple(chosen.values()), loaded, settings)
        return made[key]

    begin = context_for(default)
    table = NameTable([(name, context_for(chosen)) for name, chosen in by_name.items()])
    for pair in loaded.pairs:
        if not any(id(pair) in key for key in made):
            raise SettingError(
                "certificate",
                f"{pair.file} would never be selected: certificates before it have all of its "
                f"names, and {pair.key_type} keys too; remove it",
            )
    if len(made) > 1:  # a callback slows each handshake down

        def choose(connection: SSL.Connection) -> None:
            context = table.find(connection.get_servername())
            if context is not None and context is not begin:
                connection.set_context(context)

        begin.set_tlsext_servername_callback(choose)
    return begin
