"""Masks: wildcards, completion and matching."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpd.chat.masks import MASK_BYTES, BadMask, Mask, glob, normal, person
from tcpd.chat.names import NICK_BYTES, ROOM_BYTES, fold

# --- wildcards ---


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("a?c", "abbc", False),
        ("a*c", "ac", True),
        ("a*c", "abbbc", True),
        ("a*c", "abcd", False),
        ("*", "", True),
        ("?", "", False),
        ("?", "é", True),
        ("**", "x", True),
        ("*?*", "", False),
        ("", "", True),
        ("", "a", False),
        ("a*b*c", "a-b-b-c", True),
        ("*ab", "aab", True),
        ("*a?b*", "xaabx", True),
        ("[a-c].+(x)|^$", "[a-c].+(x)|^$", True),
        ("[a-c]", "b", False),
        ("a*", "a\nb", True),
        ("a", "a\n", False),
        ("a*b", "ab\n", False),
    ],
)
def test_wildcards(pattern: str, text: str, matches: bool) -> None:
    """Modern IRC, "Wildcard Expressions": ''?' to match one and only one character, and '*' to
    match any number of any characters'."""
    assert glob(pattern, text) is matches


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        (r"a\*c", "a*c", True),
        (r"a\*c", "abc", False),
        (r"a\?", "a?", True),
        (r"a\?", "ab", False),
        (r"a\b", r"a\b", True),
        (r"\\*", r"\*", True),
        (r"\\*", r"\x", False),
        ("\\", "\\", True),
    ],
)
def test_escaped_wildcards(pattern: str, text: str, matches: bool) -> None:
    """'These two characters can be escaped using the ('\\', 0x5C) character.' Other characters
    cannot: 'nowild: any octet except NUL, "*", "?"'."""
    assert glob(pattern, text) is matches


def test_matching_is_case_insensitive() -> None:
    """Masks and names are folded alike."""
    assert glob("#TEA*", "#tea-Time")
    assert glob("*ÉTÉ", "un été")
    assert glob("STRASSE", "straße")
    assert Mask.of("ÉVA").matches(person("éva", "u", "h"))


def reference_glob(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return reference_glob(pattern[1:], text) or (
            bool(text) and reference_glob(pattern, text[1:])
        )
    return bool(text) and pattern[0] in ("?", text[0]) and reference_glob(pattern[1:], text[1:])


@given(st.text("aAb*?!", max_size=10), st.text("aAb!", max_size=10))
def test_glob_agrees_with_a_reference(pattern: str, text: str) -> None:
    assert glob(pattern, text) == reference_glob(pattern.lower(), text.lower())


@given(st.text("aAb*?", min_size=1, max_size=12), st.text("ab", max_size=12))
def test_mask_agrees_with_a_reference(mask: str, nick: str) -> None:
    full = f"{mask}!*b?@*"
    who = person(nick, "ab", "h")
    assert Mask.of(full).matches(who) == reference_glob(full.lower(), who)
    assert Mask.of("m:" + full).matches(who) == reference_glob(full.lower(), who)


def test_memory_of_a_mask() -> None:
    """A room has 300 masks by default, and a compiled pattern takes some 3,000 bytes."""
    masks = [f"*{'?a*b' * 25}{number:05}!*@*" for number in range(300)]
    tracemalloc.start()
    kept = [Mask.of(mask) for mask in masks]
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept) == 300
    assert taken < 300 * 500


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\\"), max_size=20))
def test_text_without_wildcards_matches_itself(text: str) -> None:
    assert glob(text, text)


@pytest.mark.parametrize(
    "mask",
    [
        "*a" * 60 + "*b",
        "*?a" * 40 + "*b",
        "*" * 150 + "b",
        "*a?a?a" * 20 + "b",
        "?*" * 60 + "b",
        "*" + "a?" * 75 + "b*",
        "*" + "?" * 150 + "b*",
    ],
)
def test_matching_takes_no_exponential_time(mask: str) -> None:
    """Backtracking over all positions of the stars would take exponential time."""
    pattern = Mask.of(mask)
    victim = person("a" * 500, "a" * 500, "a" * 500)
    assert not pattern.matches(victim)


# --- masks of people ---


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("ann", "ann!*@*"),
        ("a*", "a*!*@*"),
        ("*", "*!*@*"),
        ("a@b", "*!a@b"),
        ("a!b", "a!b@*"),
        ("a!b@c", "a!b@c"),
        ("*!*@*", "*!*@*"),
        ("@c", "*!*@c"),
        ("a!", "a!*@*"),
        ("!b@", "*!b@*"),
        ("!@", "*!*@*"),
        ("*.example.org", "*!*@*.example.org"),
        ("192.0.2.7", "*!*@192.0.2.7"),
        ("::1", "*!*@::1"),
        ("2001:db8:*", "*!*@2001:db8:*"),
        ("a!b@c@d", "a!b@c@d"),
        ("a!b!c@d", "a!b!c@d"),
        ("a\\*", "a\\*!*@*"),
        ("e\u0301va", "éva!*@*"),
        ("M:ann", "*!*@M:ann"),
    ],
)
def test_missing_parts_of_a_mask_match_anything(text: str, full: str) -> None:
    assert normal(text) == full
    assert normal(full) == full


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "at least one"),
        ("a b", "no spaces"),
        ("a\u3000b", "no invisible"),
        ("a\x03", "no invisible"),
        ("a\nb", "no invisible"),
        ("\ud800", "no invisible"),
        ("a@b!c", "like nick!user@host"),
        (":a!b@c", "like nick!user@host"),
        ("x" * MASK_BYTES, "at most 160 bytes"),
        ("é" * 80, "at most 160 bytes"),
    ],
)
def test_invalid_masks(text: str, why: str) -> None:
    with pytest.raises(BadMask, match=why) as caught:
        Mask.of(text)
    assert not str(caught.value).endswith(".")


@given(st.text(max_size=40))
def test_any_full_mask_fits_a_parameter(text: str) -> None:
    try:
        full = normal(text)
    except BadMask:
        return
    assert full.isprintable()
    assert " " not in full
    assert full[0] != ":"
    assert len(full.encode()) <= MASK_BYTES
    assert "!" in full
    assert "@" in full


def test_list_entry_fits_a_line() -> None:
    """'<client> <channel> <mask> [<who> <set-ts>]', with a server name of 63 bytes."""
    room, nick, time_set = ROOM_BYTES, NICK_BYTES, 10
    line = len(":") + 63 + len(" 367 ") + nick + 1 + room + 1 + MASK_BYTES + 1 + nick + 1 + time_set
    assert line + len("\r\n") <= 512


@pytest.mark.parametrize(
    ("mask", "who", "matches"),
    [
        ("*!*@192.0.2.*", ("ann", "u", "192.0.2.7"), True),
        ("*!*@192.0.2.*", ("ann", "u", "192.0.3.7"), False),
        ("ann", ("Ann", "u", "h"), True),
        ("ann", ("anna", "u", "h"), False),
        ("?nn!?@h", ("ann", "u", "h"), True),
        ("?nn!??@h", ("ann", "u", "h"), False),
        ("[x]{y}", ("[X]{Y}", "u", "h"), True),
        ("[x]", ("{x}", "u", "h"), False),
        ("ann\\*", ("ann\\away", "u", "h"), True),
        ("ann\\*", ("ann", "u", "h"), False),
        ("m:ann", ("Ann", "u", "h"), True),
        ("m:ann", ("anna", "u", "h"), False),
        ("m:*.example.net", ("ann", "u", "a.example.net"), True),
    ],
)
def test_mask_matches_nick_user_and_host(
    mask: str, who: tuple[str, str, str], matches: bool
) -> None:
    """Modern IRC, "Ban Channel Mode": 'their nickmask (the combination of nick!user@host) is
    compared with each banned client mask'."""
    assert Mask.of(mask).matches(person(*who)) is matches


def test_full_width_wildcards_are_refused() -> None:
    """Full-width wildcards fold to wildcards, and no name contains them."""
    assert fold("\uff0a\uff1f") == "*?"
    for mask in ("a\uff0a", "m:a\uff1f"):
        with pytest.raises(BadMask, match="ASCII"):
            Mask.of(mask)
    assert not glob("a\uff1f", "ab")


def test_masks_with_equal_folding_are_equal() -> None:
    assert Mask.of("ANN") == Mask.of("ann!*@*")
    assert len({Mask.of("ANN"), Mask.of("ann"), Mask.of("bob")}) == 2
    assert Mask.of("ann") != "ann!*@*"
    assert Mask.of("ANN").text == "ANN!*@*"
    assert repr(Mask.of("ann")) == "Mask(text='ann!*@*')"


@pytest.mark.parametrize(
    ("text", "full"), [("m:Ann", "m:Ann!*@*"), ("m:*@h", "m:*!*@h"), ("m:a!b@c", "m:a!b@c")]
)
def test_mute_masks(text: str, full: str) -> None:
    """Modern IRC, EXTBAN: the mask after the type is completed like any mask."""
    mask = Mask.of(text)
    assert (mask.text, mask.key, mask.mutes) == (full, full.lower(), True)
    assert Mask.of(full) == mask
    assert mask != Mask.of(text.removeprefix("m:"))
    assert not Mask.of(text.removeprefix("m:")).mutes


@pytest.mark.parametrize("text", ["m:", "m:a b", "m:m:ann@b!c", "m:" + "x" * MASK_BYTES])
def test_invalid_mute_masks(text: str) -> None:
    with pytest.raises(BadMask):
        Mask.of(text)


def test_masks_are_immutable() -> None:
    with pytest.raises(AttributeError):
        Mask.of("ann").text = "bob"  # type: ignore[misc]
