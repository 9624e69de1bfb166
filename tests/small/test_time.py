"""Time, RFC 868."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tcpd.small.time import kind, seconds_since_1900


def at(*when: int) -> int:
    now = datetime(*when, tzinfo=UTC).timestamp()  # type: ignore[arg-type,misc]
    return int.from_bytes(seconds_since_1900(now), "big")


@pytest.mark.parametrize(
    ("when", "seconds"),
    [
        # the RFC's own table
        ((1970, 1, 1), 2_208_988_800),
        ((1976, 1, 1), 2_398_291_200),
        ((1980, 1, 1), 2_524_521_600),
        ((1983, 5, 1), 2_629_584_000),
        # by its definition
        ((1900, 1, 1), 0),
    ],
)
def test_table_of_the_rfc(when: tuple[int, int, int], seconds: int) -> None:
    """RFC 868: "The time is the number of seconds since 00:00 (midnight) 1 January 1900 GMT, such
    that the time 1 is 12:00:01 am on 1 January 1900 GMT"."""
    assert at(*when) == seconds


def test_value_wraps_in_2036() -> None:
    """RFC 868: "This base will serve until the year 2036."

    RFC 5905 section 6 begins the NTP era 1 at the same second.
    """
    assert at(2036, 2, 7, 6, 28, 15) == 0xFFFFFFFF
    assert at(2036, 2, 7, 6, 28, 16) == 0
    assert at(2036, 2, 7, 6, 28, 17) == 1
    assert at(2100, 1, 1) == at(2100, 1, 1) % 2**32
    assert len(seconds_since_1900(datetime(2100, 1, 1, tzinfo=UTC).timestamp())) == 4


def test_fractions_are_truncated() -> None:
    assert seconds_since_1900(0.999) == seconds_since_1900(0)
    assert seconds_since_1900(-0.001) == seconds_since_1900(-1)


def test_value_is_32_bits_big_endian(context) -> None:
    """RFC 868: "Send the time as a 32 bit binary number"."""
    respond = kind.make_responder(kind.settings(), context)
    assert respond(b"") == (1_645_551_463 + 2_208_988_800).to_bytes(4, "big")
