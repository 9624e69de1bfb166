"""Certificates for listeners, chosen by name, and what a handshake agreed on."""

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
from tcpd.net.tls_files import Exposed, Loaded, Pair, Stamp, load
from tcpd.net.tls_names import NameTable

#: What SSL_state_string_long(3) says of no connection.
_NONE = b"error"


@dataclass(frozen=True, slots=True)
class TLSFacts:
    """What a handshake agreed on.

    :ivar version: e.g. ``TLSv1.3``.
    :ivar cipher: by OpenSSL's name, e.g. ``TLS_AES_256_GCM_SHA384``.
    :ivar server_name: the name the client asked for (SNI), or ``None``. It is the peer's text, but
        for a dot at its end, which is left out (RFC 6066 section 3: "without a trailing dot").
    :ivar fingerprint: SHA-256 of the client's certificate in hexadecimal digits; ``None`` if it
        showed none. One that was shown has been verified against ``client_ca``.
    :ivar subject: who the client is by its certificate, as RFC 4514 writes it, like
        ``CN=ann,O=Example``. This and the names are what an authority vouched for; they may have
        any characters in them.
    :ivar client_names: its alternative names: DNS names, mail and IP addresses, URIs.
    """

    version: str
    cipher: str
    server_name: str | None
    fingerprint: str | None = None
    subject: str | None = None
    client_names: tuple[str, ...] = ()

    def __str__(self) -> str:
        """For logs: version, suite, and who the client is, if that is known."""
        told = f"{self.version} {self.cipher}"
        if self.fingerprint is None:
            return told
        return f"{told}, client {self.subject or '(no subject)'} sha256:{self.fingerprint}"


def facts_of(connection: SSL.Connection) -> TLSFacts:
    """Read the facts off a connection whose handshake is complete."""
    name = connection.get_servername()
    client = connection.get_peer_certificate(as_cryptography=True)
    return TLSFacts(
        connection.get_protocol_version_name(),
        connection.get_cipher_name() or "unknown",
        (name or b"").decode("ascii", "backslashreplace").removesuffix(".") or None,
        *(() if client is None else _client_of(client)),
    )


def _client_of(shown: x509.Certificate) -> tuple[str, str, tuple[str, ...]]:
    fingerprint = shown.fingerprint(hashes.SHA256()).hex()
    try:
        return fingerprint, shown.subject.rfc4514_string(), _names_of_client(shown)
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        # OpenSSL is content with it; for us this is somebody without a name
        return fingerprint, "", ()


def _names_of_client(shown: x509.Certificate) -> tuple[str, ...]:
    try:
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    kinds = (x509.DNSName, x509.RFC822Name, x509.IPAddress, x509.UniformResourceIdentifier)
    return tuple(str(each.value) for each in names if isinstance(each, kinds))


@implementer(IOpenSSLServerConnectionCreator)
class Certificates:
    """One ``[tls:NAME]``, loaded.

    :param settings: where the files are.
    :param credentials: systemd's directory of credentials; ``None`` for none.

    :ivar settings: the same.
    :raise SettingError: for a file that cannot be read or used, a key that is another
        certificate's, or a certificate that no client would be shown.
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
    def exposed(self) -> tuple[Exposed, ...]:
        """Keys that others can read."""
        return self._loaded.exposed

    @property
    def stamps(self) -> Mapping[str, Stamp]:
        """By path, the state of each file that was read, just before; see
        :func:`tcpd.net.tls_files.stamp_of`."""
        return self._loaded.stamps

    def has_name(self, name: str) -> bool:
        """Whether a certificate has a DNS name, by itself or by a wildcard."""
        names = [(each, True) for pair in self.pairs for each in pair.names]
        return bool(NameTable(names).find(name.encode("utf-8")))

    def has_address(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        """Whether a certificate is for an IP address."""
        return any(x509.IPAddress(address) in pair.valid_for for pair in self.pairs)

    def shows_the_same(self, other: Certificates) -> bool:
        """Whether clients see no difference in the certificates themselves."""
        return self.pairs == other.pairs

    def adopt(self, other: Certificates) -> bool:
        """Take over what another has loaded, for handshakes from now on.

        A context that has served one is frozen, so a change always is another context; open
        connections live on with theirs. Where nothing has changed the context stays, with the keys
        of the tickets that clients have.

        :return: whether anything has changed.
        """
        changed = (self.settings, self._loaded) != (other.settings, other._loaded)
        self.settings = other.settings
        self._loaded = other._loaded  # the state of the files, at least
        if changed:
            self._context = other._context
        return changed

    def rotate(self) -> None:
        """Begin with new keys for tickets: whoever learns one can read no more than was said while
        it was in use. Tickets that clients have are worth nothing then."""
        self._context = _contexts(self._loaded, self.settings)

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """Make the connection object of a new handshake."""
        return new_connection(self._context)


def new_connection(context: SSL.Context) -> SSL.Connection:
    """Make an OpenSSL connection.

    :raise MemoryError: if OpenSSL has made none; pyOpenSSL does not look, and what is done with it
        would end the process.
    """
    connection = SSL.Connection(context)
    if connection.get_state_string() == _NONE:
        raise MemoryError("OpenSSL has no memory for a connection")
    return connection


def _contexts(loaded: Loaded, settings: TLSSettings) -> SSL.Context:
    """Make the context that handshakes begin on, and those that it changes to for other names.

    For each name there are the first certificate that has it, and the first of each other type of
    key; names that have the same share a context.
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
        known = tuple(sorted(id(pair) for pair in chosen.values()))
        if known not in made:
            made[known] = make_context(tuple(chosen.values()), loaded, settings)
        return made[known]

    begin = context_for(default)
    table = NameTable([(name, context_for(chosen)) for name, chosen in by_name.items()])
    for pair in loaded.pairs:
        if not any(id(pair) in known for known in made):
            raise SettingError(
                "certificate",
                f"{pair.file} would never be shown: certificates before it have all of its names, "
                f"and {pair.key_type} keys too; take it out",
            )
    if len(made) > 1:  # to be asked costs each handshake something

        def choose(connection: SSL.Connection) -> None:
            context = table.find(connection.get_servername())
            if context is not None and context is not begin:
                connection.set_context(context)

        begin.set_tlsext_servername_callback(choose)
    return begin
