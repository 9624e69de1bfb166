"""Keys of the IRC service with types of their own."""

from __future__ import annotations

import pytest

from tcpd.chat.irc.kind import kind
from tcpd.chat.irc.settings import IrcSettings
from tcpd.config.fields import options_of
from tcpd.policy.passwords import hash_password

TYPES = {item.name: item for item in options_of(IrcSettings)}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", ()),
        ("typing", ("typing",)),
        ("typing, draft/react example.com/x", ("typing", "draft/react", "example.com/x")),
        ("*, -typing", ("*", "-typing")),
        ("typing,typing", ("typing",)),
    ],
)
def test_deny_tags(text: str, value: tuple[str, ...]) -> None:
    deny_tags = TYPES["deny_tags"].type
    assert deny_tags.parse(text) == value
    assert deny_tags.parse(deny_tags.show(value)) == value


@pytest.mark.parametrize("text", ["+typing", "a=b", "--x", "a;b", "тег", "*x", "x" * 400])
def test_invalid_deny_tags(text: str) -> None:
    with pytest.raises(ValueError, match=r"tag|characters"):
        TYPES["deny_tags"].type.parse(text)


def test_longest_deny_tags_fits_an_isupport_token() -> None:
    from chat.irc_chat import IrcChat

    text = ",".join(f"{number:03}{'x' * 26}" for number in range(10))
    chat = IrcChat(deny_tags=TYPES["deny_tags"].type.parse(text))
    assert any(
        f"CLIENTTAGDENY={text} " in line for line in chat.irc_client("n" * 30).send("ISUPPORT")
    )


def test_password_is_a_hash_and_is_not_shown() -> None:
    password = TYPES["password"]
    assert password.secret
    assert password.type.parse("") is None
    hashed = hash_password("sesame")
    parsed = password.type.parse(hashed)
    assert parsed.matches("sesame")
    assert password.type.parse(password.type.show(parsed)) == parsed
    assert hashed.rpartition("$")[2] not in repr(kind.settings(password=parsed))
    with pytest.raises(ValueError, match="tcpd-ctl hash-password makes one") as caught:
        password.type.parse("sesame")
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(("text", "value"), [("off", None), ("0", 0.0), ("30d", 30 * 86400.0)])
def test_sts(text: str, value: float | None) -> None:
    assert TYPES["sts"].type.parse(text) == value


@pytest.mark.parametrize("key", ["network", "server_description"])
def test_length_of_network_and_description(key: str) -> None:
    """RFC 1459 section 2.3.1: no parameter holds NUL, CR or LF; 2.3: a line has 512 bytes."""
    from chat.irc_chat import IrcChat

    item = TYPES[key]
    longest = "é" * 50
    assert item.type.parse(longest) == longest
    chat = IrcChat(**{key: longest})
    client = chat.irc_client("n" * 30)
    assert client.send("LINKS")[0].endswith(f":0 {longest}")
    for wrong in ("two\nlines", "a\x1b[1m", "a\u202eb", "é" * 51):
        with pytest.raises(ValueError, match=r"one line|more than 100 bytes"):
            item.type.parse(wrong)
