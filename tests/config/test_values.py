"""Types of values: parse, errors, show."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpd.config import values
from tcpd.config.values import Rate, Type


@pytest.mark.parametrize("kind", [values.TEXT, values.PATH, values.FILE])
def test_value_of_several_lines_is_rejected(kind: Type[str]) -> None:
    """A key that is indented by mistake continues the value before it."""
    with pytest.raises(ValueError, match="several lines"):
        kind.parse("/var/lib/tcpd\ncontrol = none")


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (values.DURATION, "30s", 30.0),
        (values.DURATION, "500ms", 0.5),
        (values.DURATION, "1.5 min", 90.0),
        (values.DURATION, "2h", 7200.0),
        (values.DURATION, "0", 0.0),
        (values.SIZE, "64KiB", 65536),
        (values.SIZE, "512", 512),
        (values.between(values.SIZE, 512, 4096), "512", 512),
        (values.between(values.SIZE, 512, 4096), "4KiB", 4096),
        (values.SIZE, "3 MiB", 3 << 20),
        (values.BOOLEAN, "Yes", True),
        (values.BOOLEAN, "off", False),
        (values.RATE, "10/s burst 30", Rate(10.0, 30.0)),
        (values.RATE, "10/s", Rate(10.0, 10.0)),
        (values.RATE, "6/min burst 2", Rate(0.1, 2.0)),
        (values.RATE, "none", None),
        (values.FILES, " a.pem\n\n  credential:b.pem", ("a.pem", "credential:b.pem")),
        (values.FILES, "", ()),
        (values.FILE, "credential:tls@web-1.pem", "credential:tls@web-1.pem"),
        (values.whole_number(1, 9), "9", 9),
        (values.choice("a", "b"), "b", "b"),
        (values.or_word(values.DURATION, "auto"), "auto", None),
        (values.or_word(values.DURATION, "auto"), "1s", 1.0),
    ],
)
def test_parse(kind: Type[Any], text: str, value: object) -> None:
    assert kind.parse(text) == value


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        (values.DURATION, "30", "like 30s"),
        (values.DURATION, "-1s", "not a duration"),
        (values.DURATION, "1m", "ms, s, min, h or d"),
        (values.DURATION, "", "not a duration"),
        (values.DURATION, "99999999999d", "longer than 36500d"),
        (values.DURATION, "9" * 400 + "d", "longer than 36500d"),
        (values.SIZE, "64kb", "like 64KiB"),
        (values.SIZE, "1.5KiB", "whole number"),
        (values.BOOLEAN, "maybe", "is not yes or no"),
        (values.RATE, "10", "10/s burst 30"),
        (values.RATE, "0/s", "a rate of 0"),
        (values.RATE, "1/s burst 0", "burst of 0"),
        (values.NETWORKS, "192.0.2.1/24", "write 192.0.2.0/24"),
        (values.NETWORKS, "example.org", "not a network"),
        (values.ALPN, "imap, caf\u00e9", "is not an ALPN protocol"),
        (values.ALPN, "x" * 256, "1 to 255"),
        (values.FILE, "credential:", "is not the name of a credential"),
        (values.FILE, "credential:../shadow", "use letters, digits"),
        (values.FILES, "a.pem\ncredential:..", "is not the name of a credential"),
        (values.whole_number(1, 9), "10", "from 1 to 9"),
        (values.whole_number(1, 9), "\u0663", "from 1 to 9"),
        (values.whole_number(1, 9), "9" * 5000, "from 1 to 9"),
        (values.at_least(values.SIZE, 1024), "1", "the minimum is 1KiB"),
        (values.between(values.SIZE, 512, 4096), "511", "too small; the minimum is 512B"),
        (values.between(values.SIZE, 512, 4096), "5KiB", "too large; the maximum is 4KiB"),
        (values.choice("a", "b"), "c", "not one of: a, b"),
    ],
)
def test_invalid_values(kind: Type[Any], text: str, says: str) -> None:
    with pytest.raises(ValueError) as caught:
        kind.parse(text)
    assert says in str(caught.value)


def test_networks_of_ipv4_and_ipv6() -> None:
    shown = values.NETWORKS.show(values.NETWORKS.parse("192.0.2.0/24 2001:db8::/32,\n10.0.0.1"))
    assert shown == "192.0.2.0/24, 2001:db8::/32, 10.0.0.1/32"


def test_ipv4_mapped_network_is_ipv4() -> None:
    """RFC 4291 section 2.5.5.2; peers with mapped addresses appear as IPv4."""
    shown = values.NETWORKS.show(values.NETWORKS.parse("::ffff:192.0.2.1 ::ffff:10.0.0.0/104 ::/0"))
    assert shown == "192.0.2.1/32, 10.0.0.0/8, ::/0"


@given(st.integers(min_value=0, max_value=10**9))
def test_duration_round_trips(milliseconds: int) -> None:
    seconds = values.DURATION.parse(f"{milliseconds}ms")
    assert values.DURATION.parse(values.DURATION.show(seconds)) == pytest.approx(seconds)


@given(st.integers(min_value=0, max_value=2**50))
def test_size_round_trips(size: int) -> None:
    assert values.SIZE.parse(values.SIZE.show(size)) == size


@given(
    st.integers(min_value=1, max_value=10_000),
    st.sampled_from(["s", "min", "h"]),
    st.integers(min_value=1, max_value=10_000),
)
def test_rate_round_trips(count: int, unit: str, burst: int) -> None:
    rate = values.RATE.parse(f"{count}/{unit} burst {burst}")
    assert rate is not None
    again = values.RATE.parse(values.RATE.show(rate))
    assert again is not None
    assert (again.per_second, again.burst) == (pytest.approx(rate.per_second), rate.burst)


@given(st.text())
def test_any_text_raises_only_value_error(text: str) -> None:
    for kind in (values.DURATION, values.SIZE, values.RATE, values.NETWORKS, values.BOOLEAN):
        try:
            kind.parse(text)
        except ValueError as error:
            assert str(error)
