"""Certificates made for a test."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

_KEYS: Mapping[str, Callable[[], Any]] = {
    "ECDSA": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
    "short RSA": lambda: rsa.generate_private_key(65537, 1024),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}

_NOW = datetime.datetime.now(datetime.UTC)


@dataclass(frozen=True)
class Made:
    """A certificate and its key, in memory and in two PEM files."""

    certificate: x509.Certificate
    key: Any
    certificate_file: Path
    key_file: Path


def make(
    directory: Path,
    name: str,
    issuer: Made | None = None,
    authority: bool = False,
    *,
    names: Sequence[str] | None = None,
    key_type: str = "ECDSA",
    days: float = 30,
    file: str = "",
) -> Made:
    """Make a certificate for ``name`` and the loopback addresses.

    :param directory: where to put ``name.pem`` and ``name-key.pem``.
    :param issuer: signs it; without one it is self-signed.
    :param authority: whether it is a CA certificate.
    :param names: its DNS names; by default ``name``.
    :param key_type: a key of :data:`_KEYS`.
    :param days: until it expires; it is valid since a year ago.
    :param file: stem of the file names; by default ``name``.
    """
    key = _KEYS[key_type]()
    file = file or name
    signer = issuer.key if issuer else key
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOW - datetime.timedelta(days=365))
        .not_valid_after(_NOW + datetime.timedelta(days=days))
        .add_extension(
            x509.SubjectAlternativeName(
                [
                    *(x509.DNSName(each) for each in ([name] if names is None else names)),
                    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
                ]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .sign(signer, None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    certificate_file = directory / f"{file}.pem"
    key_file = directory / f"{file}-key.pem"
    certificate_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    key_file.touch()
    key_file.chmod(0o600)
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return Made(certificate, key, certificate_file, key_file)
