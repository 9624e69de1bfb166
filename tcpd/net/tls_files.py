"""Reads the files of a ``[tls:NAME]`` and matches certificates, keys, chains and authorities."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tcpd.config.errors import SettingError
from tcpd.config.files import Unreadable, read_file
from tcpd.config.locations import locate
from tcpd.config.settings import TLSSettings
from tcpd.net.tls_names import alternative_names, names_of

#: The key types; an OpenSSL context has one certificate of each.
_KEY_TYPES: Mapping[str, type] = {
    "ECDSA": ec.EllipticCurvePublicKey,
    "RSA": rsa.RSAPublicKey,
    "Ed25519": ed25519.Ed25519PublicKey,
    "Ed448": ed448.Ed448PublicKey,
}

#: The exceptions for an invalid certificate.
_UNREADABLE = (
    ValueError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)

#: The maximum depth of a chain in OpenSSL.
_MAX_CHAIN = 100

Stamp = tuple[int, ...]
"""Identifies the state of a file; empty for a missing one."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with its chain and private key.

    :ivar file: the file of the certificate, as the ini file names it.
    :ivar chain: the certificate and its intermediates, in the order sent to clients.
    :ivar key: the private key.
    :ivar names: the DNS names; see :func:`tcpd.net.tls_names.names_of`.
    :ivar key_type: a key of :data:`_KEY_TYPES`.
    :ivar expires: the end of the validity, in seconds since 1970 UTC.
    :ivar valid_for: the alternative names; the subject if there are none.
    """

    file: str
    chain: tuple[x509.Certificate, ...]
    key: Any = field(repr=False, compare=False)
    names: tuple[str, ...]
    key_type: str
    expires: float
    valid_for: frozenset[object] = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, in hexadecimal digits."""
        return self.chain[0].fingerprint(hashes.SHA256()).hex()

    def covers(self, other: Pair) -> bool:
        """Whether it is valid for all names of the other."""
        return self.valid_for >= other.valid_for


@dataclass(frozen=True, slots=True)
class ExposedKey:
    """A file with a private key that every user can read or write.

    :ivar file: as the ini file names it.
    :ivar mode: the permissions, in octal.
    """

    file: str
    mode: str

    def __str__(self) -> str:
        return (
            f"the private key in {self.file} can be read or written by every user of this system "
            f"(mode {self.mode}); chmod o= removes that"
        )


@dataclass(frozen=True, slots=True)
class LoadedFiles:
    """The content of the files.

    :ivar pairs: certificates with their keys, in the order of ``certificate``.
    :ivar authorities: the content of ``client_ca``, PEM; empty for none.
    :ivar exposed: the key files that every user can read or write.
    :ivar stamps: the state of each file before it was read, by path.
    """

    pairs: tuple[Pair, ...]
    authorities: bytes
    exposed: tuple[ExposedKey, ...] = field(compare=False)
    stamps: Mapping[str, Stamp] = field(compare=False)


def stamp_of(path: str) -> Stamp:
    """Return the state of a file, or of the target of a symbolic link. One system call."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return ()
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev)


class _Reader:
    """Reads each file once, and records its state before."""

    def __init__(self, credentials: str | None) -> None:
        self._credentials = credentials
        self._read: dict[str, bytes] = {}
        self._modes: dict[str, int] = {}
        self.stamps: dict[str, Stamp] = {}
        self.exposed: list[ExposedKey] = []

    def read(self, key: str, file: str) -> bytes:
        """:raise SettingError: if it cannot be read."""
        if file in self._read:
            return self._read[file]
        try:
            path = locate(file, self._credentials)
        except ValueError as error:
            raise SettingError(key, str(error)) from None
        self.stamps[path] = stamp_of(path)
        try:
            data, self._modes[file] = read_file(path)
        except Unreadable as error:
            raise SettingError(key, f"{file} cannot be read: {error}") from None
        self._read[file] = data
        return data

    def certificates(self, key: str, file: str) -> list[x509.Certificate]:
        """Return all certificates of a file.

        :raise SettingError: if it has none, or one is invalid.
        """
        data = self.read(key, file)
        try:
            return x509.load_pem_x509_certificates(data)
        except _UNREADABLE as error:
            raise SettingError(
                key, f"{file} has no PEM certificate that can be used: {_line(error)}"
            ) from None

    def private_key(self, key: str, file: str) -> Any:
        """Return the first private key of a file.

        :raise SettingError: if it has none, or the key is invalid.
        """
        data = self.read(key, file)
        try:
            found = load_pem_private_key(data, None)
        except TypeError:
            raise SettingError(
                key, f"{file} is protected by a passphrase; remove the passphrase"
            ) from None
        except (ValueError, UnsupportedAlgorithm) as error:
            raise SettingError(
                key, f"{file} has no PEM private key that can be used: {_line(error)}"
            ) from None
        # a group may have access, the usual way to share keys with daemons
        if self._modes[file] & (stat.S_IROTH | stat.S_IWOTH):
            mode = f"{stat.S_IMODE(self._modes[file]):04o}"
            exposed = ExposedKey(file, mode)
            if exposed not in self.exposed:
                self.exposed.append(exposed)
        return found


def load(settings: TLSSettings, credentials: str | None) -> LoadedFiles:
    """Read all files, and match keys and chains to the certificates.

    :param credentials: systemd's credentials directory; ``None`` for none.
    :raise SettingError: for a file that cannot be read or used, or that matches no certificate.
    """
    reader = _Reader(credentials)
    if not settings.certificate:
        raise SettingError("certificate", "at least one file must be named")
    chains = [reader.certificates("certificate", file) for file in settings.certificate]
    _complete(chains, settings, reader)
    keys = [reader.private_key("key", file) for file in settings.key]
    unused = set(range(len(keys)))
    pairs = []
    for file, chain in zip(settings.certificate, chains, strict=True):
        public = _public_key(file, chain[0])
        match = next((at for at, key in enumerate(keys) if key.public_key() == public), None)
        if match is None:
            key = _own_key(file, public, settings, reader)
        else:
            unused.discard(match)
            key = keys[match]
        pairs.append(_pair(file, chain, key))
    for at in sorted(unused):
        raise SettingError(
            "key", f"{settings.key[at]} is not the key of {_one_of(settings.certificate)}"
        )
    authorities = b""
    if settings.client_ca:
        reader.certificates("client_ca", settings.client_ca)  # for clear errors
        authorities = reader.read("client_ca", settings.client_ca)
    return LoadedFiles(tuple(pairs), authorities, tuple(reader.exposed), reader.stamps)


def _complete(chains: list[list[x509.Certificate]], settings: TLSSettings, reader: _Reader) -> None:
    """Append to each certificate the intermediates from the files of ``chain``."""
    for file in settings.chain:
        pool = reader.certificates("chain", file)
        used = False
        for chain in chains:
            issuer = _issuer(chain[-1], pool)
            while issuer is not None and issuer not in chain and len(chain) < _MAX_CHAIN:
                chain.append(issuer)
                used = True
                issuer = _issuer(issuer, pool)
        if not used:
            raise SettingError(
                "chain",
                f"{file} has no certificate of the issuer of {_one_of(settings.certificate)}",
            )


def _issuer(signed: x509.Certificate, pool: Iterable[x509.Certificate]) -> x509.Certificate | None:
    for each in pool:
        if each.subject == signed.issuer:
            # another authority may have the same name and a key of another type
            with contextlib.suppress(ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature):
                signed.verify_directly_issued_by(each)
                return each
    return None


def _own_key(file: str, public: Any, settings: TLSSettings, reader: _Reader) -> Any:
    """Return the private key in the certificate's own file."""
    if settings.key and b"PRIVATE KEY" not in reader.read("certificate", file):
        few = len(settings.certificate) == len(settings.key) == 1
        named = settings.key[0] if few else "none of the files named here"
        raise SettingError(
            "key",
            f"{named} is {'not ' if few else ''}the key of the certificate in {file}",
        )
    key = reader.private_key("certificate", file)
    if key.public_key() != public:
        raise SettingError(
            "certificate", f"{file} has a private key that is not the key of its first certificate"
        )
    return key


def _public_key(file: str, certificate: x509.Certificate) -> Any:
    try:
        return certificate.public_key()
    except _UNREADABLE as error:
        text = f"{file} has a public key that cannot be used: {_line(error)}"
        raise SettingError("certificate", text) from None


def _pair(file: str, chain: list[x509.Certificate], key: Any) -> Pair:
    public = _public_key(file, chain[0])
    key_type = next((name for name, cls in _KEY_TYPES.items() if isinstance(public, cls)), None)
    if key_type is None:
        raise SettingError(
            "certificate",
            f"{file} has a key of a type that TLS does not use; there are {', '.join(_KEY_TYPES)}",
        )
    try:
        # the fields of a certificate are parsed on first access
        return Pair(
            file=file,
            chain=tuple(chain),
            key=key,
            names=names_of(chain[0]),
            key_type=key_type,
            expires=chain[0].not_valid_after_utc.timestamp(),
            valid_for=_identity(chain[0]),
        )
    except _UNREADABLE as error:
        text = f"{file} has a certificate that cannot be read: {_line(error)}"
        raise SettingError("certificate", text) from None


def _line(error: Exception) -> str:
    """Return the message of an error in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _one_of(files: tuple[str, ...]) -> str:
    if len(files) == 1:
        return f"the certificate in {files[0]}"
    return f"any of the certificates in {', '.join(files)}"


def _identity(certificate: x509.Certificate) -> frozenset[object]:
    """Return the alternative names of a certificate; its subject if it has none."""
    names = alternative_names(certificate)
    return frozenset({certificate.subject}) if names is None else frozenset(names)
