"""Selection of certificates by SNI. Sans-IO.

Names are compared as clients do (RFC 9525 section 6.3): as ASCII (A-labels), ignoring case. A
wildcard is the whole leftmost label and matches one label.
"""

from __future__ import annotations

import re
from typing import Generic, TypeVar

from cryptography import x509

T = TypeVar("T")

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_PATTERN = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*")


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the DNS names of a certificate in lower case, without a trailing dot.

    The common name is ignored, as clients do (RFC 9525 section 2), and so are invalid names.

    :raise ValueError: if the extension cannot be parsed.
    """
    names = alternative_names(certificate)
    if names is None:
        return ()
    found = (name.lower().removesuffix(".") for name in names.get_values_for_type(x509.DNSName))
    return tuple(dict.fromkeys(name for name in found if _PATTERN.fullmatch(name)))


def alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    """Return the extension subjectAltName; ``None`` if the certificate has none.

    :raise ValueError: if it cannot be parsed.
    """
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None


class NameTable(Generic[T]):
    """Maps DNS names, exact or with a wildcard, to values.

    :param entries: pairs of a name from :func:`names_of` and a value; the first entry of a name
        counts.
    """

    def __init__(self, entries: list[tuple[str, T]]) -> None:
        self._exact: dict[str, T] = {}
        self._wildcards: dict[str, T] = {}  # by the name after "*."
        for name, value in entries:
            if name.startswith("*."):
                self._wildcards.setdefault(name[2:], value)
            else:
                self._exact.setdefault(name, value)

    def find(self, server_name: bytes | None) -> T | None:
        """Look up an SNI: an exact name first, then a wildcard.

        :param server_name: as received (RFC 6066 section 3; a trailing dot is tolerated), or
            ``None``.
        :return: ``None`` if nothing matches.
        """
        if not server_name or not server_name.isascii():
            return None
        name = server_name.decode("ascii").lower().removesuffix(".")
        found = self._exact.get(name)
        if found is not None:
            return found
        label, dot, rest = name.partition(".")
        return self._wildcards.get(rest) if label and dot else None
