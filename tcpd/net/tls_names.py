"""Which of several certificates has the name that a client asks for. Sans-IO.

The rules are those by which clients compare (RFC 9525 section 6.3): names are ASCII (A-labels),
letter case does not matter, and a wildcard is a whole label, the leftmost, and stands for one.
"""

from __future__ import annotations

import re
from typing import Generic, TypeVar

from cryptography import x509

T = TypeVar("T")

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_PATTERN = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*")


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The DNS names of a certificate: lower case, without a dot at the end.

    What is in the subject alone is not looked at (RFC 9525 section 2: clients do not), nor a name
    that no client could ask for.

    :raise ValueError: if they cannot be read.
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    found = (name.lower().removesuffix(".") for name in names.get_values_for_type(x509.DNSName))
    return tuple(dict.fromkeys(name for name in found if _PATTERN.fullmatch(name)))


class NameTable(Generic[T]):
    """What there is for each name.

    :param entries: (pattern, value), in order; of two for one pattern the first counts. A pattern
        is one of :func:`names_of`.
    """

    def __init__(self, entries: list[tuple[str, T]]) -> None:
        self._exact: dict[str, T] = {}
        self._below: dict[str, T] = {}  # by what stands behind "*."
        for pattern, value in entries:
            if pattern.startswith("*."):
                self._below.setdefault(pattern[2:], value)
            else:
                self._exact.setdefault(pattern, value)

    def find(self, asked: bytes | None) -> T | None:
        """What there is for the name that a client asks for, the exact one before a wildcard.

        :param asked: as it came (RFC 6066 section 3: an A-label, without a dot at the end, which is
            forgiven); ``None`` if it asks for none.
        :return: ``None`` if there is nothing for it.
        """
        if not asked or not asked.isascii():
            return None
        name = asked.decode("ascii").lower().removesuffix(".")
        found = self._exact.get(name)
        if found is not None:
            return found
        label, dot, rest = name.partition(".")
        return self._below.get(rest) if label and dot else None
