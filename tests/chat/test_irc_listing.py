"""Parameters of LIST and WHO: parsing and matching."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpd.chat.irc.listing import (
    WHOX_FIELDS,
    RoomFacts,
    RoomFilter,
    WhoOptions,
    parse_list,
    parse_who,
)

NOW = 1_000_000.0
MINUTE = 60


@dataclass(frozen=True)
class ListedRoom(RoomFacts):
    users: int = 1
    created: float = NOW
    topic_time: float | None = None


ROOMS = (
    ListedRoom("#tea", 3, NOW - 90 * MINUTE, NOW - 30 * MINUTE),
    ListedRoom("#Teatime", 5, NOW - 30 * MINUTE),
    ListedRoom("#coffee", 4, NOW - 60 * MINUTE, NOW - 60 * MINUTE),
    ListedRoom("#éte", 1, NOW - 1, NOW - 1),
)


def listed(*params: str) -> list[str]:
    room_filter = parse_list(params, 10)
    return [room.name for room in ROOMS if room_filter.matches(room, NOW)]


def test_list_without_parameters_matches_all() -> None:
    """'If this parameter is not given, the information about all visible channels ... is
    returned.'"""
    assert parse_list((), 10) == RoomFilter()
    assert listed() == ["#tea", "#Teatime", "#coffee", "#éte"]
    assert listed("") == listed()


def test_list_by_name() -> None:
    """'If this parameter is given, the information for only the given channels is returned.'"""
    assert listed("#TEATIME,#coffee,#none") == ["#Teatime", "#coffee"]
    assert listed("#ÉTE") == ["#éte"]


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        (">3", ["#Teatime", "#coffee"]),
        ("<4", ["#tea", "#éte"]),
        (">5", []),
        (">0", ["#tea", "#Teatime", "#coffee", "#éte"]),
        ("<0", []),
        (">2,<5", ["#tea", "#coffee"]),
    ],
)
def test_list_by_user_count(condition: str, names: list[str]) -> None:
    """'U: Searching based on user count within the channel, via the "<val" and ">val" modifiers to
    search for a channel that has less or more than val users, respectively.'"""
    assert listed(condition) == names


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("C<60", ["#Teatime", "#éte"]),
        ("C>60", ["#tea"]),
        ("c>59", ["#tea", "#coffee"]),
        ("C>10000000000000000000", []),
    ],
)
def test_list_by_age(condition: str, names: list[str]) -> None:
    """'C: ... via the "C<val" and "C>val" modifiers to search for a channel that was created either
    less than val minutes ago, or more than val minutes ago, respectively'"""
    assert listed(condition) == names


@pytest.mark.parametrize(
    ("condition", "names"),
    [("T<60", ["#tea", "#éte"]), ("t>29", ["#tea", "#coffee"]), ("T>60", [])],
)
def test_list_by_topic_age(condition: str, names: list[str]) -> None:
    """'T: ... a topic time that was set less than val minutes ago, or more than val minutes ago,
    respectively.' A room without a topic matches neither."""
    assert listed(condition) == names


def test_list_by_mask() -> None:
    """'M: Searching based on a mask. N: Searching based on a non-matching !mask.'"""
    assert listed("#tea*") == ["#tea", "#Teatime"]
    assert listed("*e?") == ["#tea", "#coffee"]
    assert listed("!#TEA*") == ["#coffee", "#éte"]
    assert listed("!#coffee") == ["#tea", "#Teatime", "#éte"]
    assert listed("#tea*,#coffee,!*time") == ["#tea", "#coffee"]


def test_names_and_conditions_are_combined() -> None:
    """'the server filters the returned list of channels with the given conditions'"""
    assert listed("#tea,#coffee,#éte", ">3") == ["#coffee"]
    assert listed(">3", "#t*") == ["#Teatime"]


@pytest.mark.parametrize("item", [">", "<x", "C", "C<", "T>1x", "U>1", ">²", "C=1", "=3", "C1"])
def test_invalid_condition_matches_no_room(item: str) -> None:
    assert listed(item) == []


def test_list_items_are_bounded() -> None:
    """'silently drop targets if the number of targets exceeds the limit'"""
    room_filter = parse_list(("#a,#b,>3", "#c"), 3)
    assert room_filter.names == {"#a", "#b"}
    assert len(room_filter.conditions) == 1


@given(st.lists(st.text("#a*?!<>CTU0,9é²", max_size=12), max_size=3))
def test_any_list_parameters_are_parsed(params: list[str]) -> None:
    room_filter = parse_list(params, 10)
    assert {room_filter.matches(room, NOW) for room in ROOMS} <= {True, False}


# --- WHO ---


@pytest.mark.parametrize(
    ("options", "parsed"),
    [
        ("%cuhnar", WhoOptions(fields="cuhnar")),
        ("%afnt,42", WhoOptions(fields="tnfa", token="42")),
        ("%tcuihsnfdlaor,123", WhoOptions(fields=WHOX_FIELDS, token="123")),
        ("%cuhsnfdar", WhoOptions(fields="cuhsnfdar")),
    ],
)
def test_whox_fields_are_in_the_specified_order(options: str, parsed: WhoOptions) -> None:
    """'Servers MUST send the fields in the order specified above', which is '[token] [channel]
    [user] [ip] [host] [server] [nick] [flags] [idle] [account] [:realname]', and 'Servers MUST NOT
    rely on the ordering of the fields.'"""
    assert parse_who(options) == parsed


def test_unknown_and_repeated_whox_fields_are_ignored() -> None:
    """'Servers MUST ignore any non-standard field they don't support.'"""
    assert parse_who("%nzznQ%").fields == "n"
    assert parse_who("%").fields == ""


@pytest.mark.parametrize("token", ["", "1234", "a", "-1", "²", "1 "])
def test_whox_token_has_at_most_three_digits(token: str) -> None:
    """'The token MUST contain only digit characters and MUST contain at most 3 characters. Clients
    MUST NOT include 't' in <fields> without specifying a token.'"""
    assert parse_who(f"%t,{token}") == WhoOptions(fields="t", token="0")
    assert parse_who("%t") == WhoOptions(fields="t", token="0")


def test_who_without_a_percent_sign_is_no_whox() -> None:
    assert parse_who("") == WhoOptions()
    assert parse_who("o") == WhoOptions(operators=True)
    assert parse_who("x") == WhoOptions()


def test_who_flags_precede_the_percent_sign() -> None:
    """'Servers MAY support additional non-standard flags before the percent character.' RFC 2812
    section 3.6.1: 'If the "o" parameter is passed only operators are returned'"""
    assert parse_who("o%n") == WhoOptions(operators=True, fields="n")
    assert parse_who("%o") == WhoOptions(fields="o")
