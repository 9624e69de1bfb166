"""The key ``to`` of forward."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpd.relay.target import TARGET, Host, Target, UnixPath, parse_target


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("127.0.0.1:80", Host("127.0.0.1", 80)),
        ("[2001:DB8::0:1]:80", Host("2001:db8::1", 80)),
        ("localhost:65535", Host("localhost", 65535)),
        ("db_1.internal.example.:5432", Host("db_1.internal.example.", 5432)),
        ("unix:/run/x.sock", UnixPath("/run/x.sock")),
    ],
)
def test_an_address_is_parsed(text: str, target: Target) -> None:
    assert parse_target(text) == target
    assert parse_target(TARGET.show(target)) == target


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "write HOST:PORT"),
        ("localhost", "write HOST:PORT"),
        (":80", "write HOST:PORT"),
        ("localhost:0", "'0' is not a port from 1 to 65535"),
        ("localhost:65536", "'65536' is not a port"),
        ("localhost:http", "'http' is not a port"),
        ("127.1:80", "'127.1' is not an IPv4 address"),
        ("1.2.3.4.5:80", "is not an IPv4 address"),
        ("2001:db8::1:80", "in brackets, [2001:db8::1]:80"),
        ("[127.0.0.1]:80", "'127.0.0.1' is not an IPv6 address"),
        ("a b:80", "'a b' is not a host name"),
        ("-x:80", "'-x' is not a host name"),
        (f"{'a.' * 127}:80", "is not a host name"),
        ("unix:run/x", "must be absolute"),
        ("unix:/run/x\nstderr = none", "must be absolute and on one line"),
        (f"unix:/{'x' * 107}", "longer than the 107 bytes"),
    ],
)
def test_an_invalid_address_is_rejected(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_target(text)


@given(st.text(max_size=30))
def test_any_text_parses_back_or_is_rejected(text: str) -> None:
    """Any text is an address that parses back to the same, or an error with a printable
    message."""
    try:
        target = parse_target(text)
    except ValueError as error:
        assert str(error)
    else:
        assert parse_target(str(target)) == target


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), st.integers(1, 65535))
def test_an_ip_address_is_recognized(address: object, port: int) -> None:
    """A name is looked up, an address is not."""
    text = f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}"
    target = parse_target(text)
    assert isinstance(target, Host)
    assert target.address == address
    assert Host("localhost", port).address is None
