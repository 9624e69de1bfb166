"""RPL_ISUPPORT (https://modern.ircdocs.horse/#rplisupport-005)."""

from __future__ import annotations

import re
from dataclasses import replace

import irctokens
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpd.chat.irc.isupport import IsupportLimits, changed, lines, tokens, written
from tcpd.chat.names import fold

LIMITS = IsupportLimits(
    network="Example Net",
    rooms=20,
    list_entries=50,
    modes=12,
    monitored=100,
    targets={"PRIVMSG": 4, "NOTICE": 4, "JOIN": None},
    nick=30,
    room=50,
    topic=300,
    reason=200,
    away=200,
    user=10,
    host=63,
    real_name=100,
    key=32,
)

#: The grammar of a token: its letters and punctuation are printable ASCII without the space.
TOKEN = re.compile(r"-[A-Z0-9]{1,20}|[A-Z0-9]{1,20}(=[\x21-\x7e]*)?")


def test_server_tokens() -> None:
    found = tokens(LIMITS)
    assert found["NETWORK"] == "Example Net"
    assert found["CHANLIMIT"] == "#:20"
    assert found["MAXLIST"] == "b:50,e:50,I:50"
    assert found["TARGMAX"] == "PRIVMSG:4,NOTICE:4,JOIN:"
    assert found["MONITOR"] == "100"
    assert found["NICKLEN"] == "30"
    assert "CLIENTTAGDENY" not in found


def test_maxlist_bounds_each_list_separately() -> None:
    """'MAXLIST=b:60,e:60,I:60 ... indicates that a client may set up to 60 "b" modes, "e" modes,
    and 60 "I" modes'; 'beI:25' would be 'the maximum number of entries that all of the modes in
    <modes>, combined, may set'."""
    bounds = [pair.split(":") for pair in tokens(LIMITS)["MAXLIST"].split(",")]
    assert bounds == [[mode, "50"] for mode in tokens(LIMITS)["CHANMODES"].split(",")[0]]


@pytest.mark.parametrize("name", ["WHOX", "UTF8ONLY", "SAFELIST"])
def test_tokens_without_a_value(name: str) -> None:
    """'Servers supporting this specification MUST include the WHOX token in RPL_ISUPPORT without
    any value.' 'The SAFELIST parameter MUST NOT be specified with a value.'"""
    assert tokens(LIMITS)[name] == ""
    assert name in written(tokens(LIMITS))


def test_member_modes_are_in_prefix_only() -> None:
    """'Server MUST NOT list modes in this parameter that are also advertised in the PREFIX
    parameter.'"""
    found = tokens(LIMITS)
    members, _, signs = found["PREFIX"].removeprefix("(").partition(")")
    assert len(members) == len(signs)
    assert not set(members) & set(found["CHANMODES"])
    assert found["STATUSMSG"] == signs
    kinds = found["CHANMODES"].split(",")
    assert len(kinds) == 4
    assert {found["EXCEPTS"], found["INVEX"]} < set(kinds[0])


def test_casemapping_holds_for_ascii_names() -> None:
    """'ascii: Defines the characters a to z to be considered the lower-case equivalents of the
    characters A to Z only.'"""
    assert tokens(LIMITS)["CASEMAPPING"] == "ascii"
    for code in range(128):
        character = chr(code)
        assert fold(character) == (character.lower() if "A" <= character <= "Z" else character)


def test_denied_client_tags() -> None:
    """'The CLIENTTAGDENY token value is a comma separated list of blocked client-only tags.'"""
    denied = replace(LIMITS, denied_tags=("*", "-typing", "-draft/reply"))
    assert tokens(denied)["CLIENTTAGDENY"] == "*,-typing,-draft/reply"


def test_values_are_escaped() -> None:
    """'The value MAY contain escape sequences: \\x20 for the space character, \\x5C for the
    backslash character and \\x3D for the equal character.'"""
    assert written({"NETWORK": "a b\\c=d"}) == ["NETWORK=a\\x20b\\x5Cc\\x3Dd"]
    assert written({"NETWORK": "Café"}) == ["NETWORK=Caf\\xC3\\xA9"]


def test_changed_tokens_are_advertised_and_removed_ones_negated() -> None:
    """'If the value of a parameter changes, the server SHOULD re-advertise the parameter'; 'Tokens
    of the form -PARAMETER are used to negate a previously specified parameter.'"""
    old = tokens(replace(LIMITS, denied_tags=("*",)))
    assert changed(old, tokens(replace(LIMITS, nick=20))) == ["-CLIENTTAGDENY", "NICKLEN=20"]
    assert changed(old, old) == []


def test_line_has_at_most_13_tokens() -> None:
    """'the maximum number of RPL_ISUPPORT tokens that can be advertised is 13. To counter this, a
    server MAY issue multiple RPL_ISUPPORT numerics.'"""
    words = written(tokens(LIMITS))
    found = [irctokens.tokenise(line[:-2]) for line in lines(words, "irc.example.com", "ann")]
    assert [token for line in found for token in line.params[1:-1]] == words
    assert [len(line.params) - 2 for line in found[:-1]] == [13] * (len(found) - 1)
    for line in found:
        assert line.source == "irc.example.com"
        assert line.command == "005"
        assert line.params[0] == "ann"
        assert line.params[-1] == "are supported by this server"


def test_no_tokens_give_no_line() -> None:
    assert lines([], "irc.example.com", "ann") == []


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    st.lists(st.text("-abc/é", min_size=1, max_size=30), max_size=8),
)
def test_tokens_match_the_grammar(network: str, denied: list[str]) -> None:
    limits = replace(LIMITS, network=network, denied_tags=tuple(denied))
    assert all(TOKEN.fullmatch(word) for word in written(tokens(limits)))


@given(
    st.lists(st.integers(1, 200), min_size=1, max_size=30), st.text("aé", min_size=1, max_size=32)
)
def test_tokens_fill_lines_of_512_bytes(sizes: list[int], client: str) -> None:
    """'Most IRC servers limit messages to 512 bytes in length', and '<1-13 tokens>' each."""
    words = [f"A={'x' * size}" for size in sizes]
    found = lines(words, "irc.example.com", client)
    chunks = [irctokens.tokenise(line[:-2]).params[1:-1] for line in found]
    assert [token for chunk in chunks for token in chunk] == words
    assert all(line.endswith(b" :are supported by this server\r\n") for line in found)
    for line, chunk, following in zip(found, chunks, [*chunks[1:], None], strict=True):
        assert len(line) <= 512
        assert 1 <= len(chunk) <= 13
        if following is not None:
            assert len(chunk) == 13 or len(line) + len(" ") + len(following[0]) > 512


def test_token_longer_than_a_line_raises() -> None:
    with pytest.raises(ValueError):
        lines(["A=" + "x" * 500], "irc.example.com", "ann")
