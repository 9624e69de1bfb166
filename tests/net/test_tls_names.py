"""Selection of certificates by SNI."""

from __future__ import annotations

from pathlib import Path

import certificates
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpd.net.tls_names import NameTable, names_of

TABLE = NameTable(
    [
        ("www.example.org", "www"),
        ("*.example.org", "any"),
        ("*.a.example.org", "below a"),
        ("xn--bcher-kva.example", "books"),
        ("www.example.org", "too late"),
    ]
)


@pytest.mark.parametrize(
    ("sni", "found"),
    [
        # RFC 9525 section 6.3: "a case-insensitive ASCII comparison"
        (b"www.example.org", "www"),
        (b"WWW.Example.ORG", "www"),
        # "The wildcard ... matches exactly one label": the exact name comes first here
        (b"mail.example.org", "any"),
        (b"b.a.example.org", "below a"),
        (b"a.example.org", "any"),
        (b"c.b.example.org", None),
        (b"example.org", None),
        (b".example.org", None),
        # RFC 9525 section 6.3: IDNs are compared as A-labels; RFC 6066 section 3 sends nothing else
        (b"xn--bcher-kva.example", "books"),
        ("bücher.example".encode(), None),
        # RFC 6066 section 3: "without a trailing dot", which is tolerated
        (b"www.example.org.", "www"),
        (b"", None),
        (b".", None),
        (b"*.example.org", "any"),
        (b"\xff\xfe", None),
        (b"127.0.0.1", None),
        (None, None),
    ],
)
def test_find(sni: bytes | None, found: str | None) -> None:
    assert TABLE.find(sni) == found


@given(st.binary(max_size=300))
def test_any_sni_is_handled(sni: bytes) -> None:
    assert TABLE.find(sni) in (None, "www", "any", "below a", "books")


LABELS = st.from_regex(r"[a-z0-9](?:[a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)


@given(st.lists(LABELS, min_size=2, max_size=5), st.data())
def test_wildcard_matches_one_leftmost_label(labels: list[str], data: st.DataObject) -> None:
    """RFC 9525 section 6.3: "the wildcard character ... is the complete left-most label"."""
    table = NameTable([(".".join(["*", *labels[1:]]), "any")])
    other = data.draw(LABELS)
    assert table.find(".".join(labels).upper().encode()) == "any"
    assert table.find(".".join([other, *labels]).encode()) is None
    assert table.find(".".join(labels[1:]).encode()) is None


def test_invalid_names_are_ignored(tmp_path: Path) -> None:
    made = certificates.make(
        tmp_path,
        "x",
        names=["WWW.example.org", "www.example.org.", "*.example.org", "f*.example.org", "a.*.b"],
    )
    assert names_of(made.certificate) == ("www.example.org", "*.example.org")


def test_certificate_without_names(tmp_path: Path) -> None:
    assert names_of(certificates.make(tmp_path, "x", names=[]).certificate) == ()
