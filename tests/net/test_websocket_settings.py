"""The allowed origins of web pages."""

from __future__ import annotations

import dataclasses

import pytest

from tcpd.config.fields import options_of
from tcpd.config.values import DURATION
from tcpd.net.websocket_settings import ORIGINS, allows, origins_option, ping_option

SAME = ("same",)


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("same", SAME),
        ("any", ("any",)),
        ("", ()),
        ("https://chat.example, null", ("https://chat.example", "null")),
        ("HTTPS://Chat.Example:443 https://chat.example", ("https://chat.example",)),
        ("http://localhost:8080", ("http://localhost:8080",)),
        ("http://[2001:db8::1]:80", ("http://[2001:db8::1]",)),
        ("moz-extension://0a1b", ("moz-extension://0a1b",)),
    ],
)
def test_origins_are_normalized(text: str, origins: tuple[str, ...]) -> None:
    """RFC 6454 section 6.2: no path, and no default port."""
    assert ORIGINS.parse(text) == origins
    assert ORIGINS.parse(ORIGINS.show(origins)) == origins


@pytest.mark.parametrize(
    "text",
    ["chat.example", "https://chat.example/", "https://*.example", "https://a@b", "https://bücher"],
)
def test_invalid_origin_is_an_error_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as https://chat\.example, or same, any or null"):
        ORIGINS.parse(text)


@pytest.mark.parametrize(
    ("origins", "origin", "host", "allowed"),
    [
        (SAME, "https://chat.example", "chat.example", True),
        (SAME, "https://CHAT.example", "Chat.Example", True),
        (SAME, "https://chat.example", "chat.example:443", True),
        (SAME, "http://chat.example", "chat.example:80", True),
        (SAME, "http://chat.example:7800", "chat.example:7800", True),
        # one host, two ports: two origins
        (SAME, "http://chat.example:7800", "chat.example:7668", False),
        (SAME, "https://chat.example", "chat.example:4430", False),
        (SAME, "https://evil.example", "chat.example", False),
        (SAME, "https://chat.example.evil.example", "chat.example", False),
        (SAME, "https://evil.example:443", "evil.example:443.chat.example", False),
        (SAME, "null", "null", False),
        (SAME, "", "", False),
        (("null",), "null", "chat.example", True),
        (("https://web.example",), "https://web.example", "chat.example", True),
        (("https://web.example",), "https://web.example:443", "chat.example", True),
        (("https://web.example",), "http://web.example", "chat.example", False),
        (("https://web.example",), "https://chat.example", "chat.example", False),
        (("any",), "https://evil.example", "chat.example", True),
        (("any",), "what is this", "chat.example", True),
        ((), "https://chat.example", "chat.example", False),
    ],
)
def test_allowed_origins(origins: tuple[str, ...], origin: str, host: str, allowed: bool) -> None:
    assert allows(origins, origin, host, lambda name: True) is allowed


def test_same_requires_an_own_name() -> None:
    """DNS rebinding: Origin and Host have the same foreign name."""
    checked: list[str] = []

    def is_own(name: str) -> bool:
        checked.append(name)
        return name == "chat.example"

    for host, allowed in (("chat.example:7668", True), ("evil.example:7668", False)):
        assert allows(SAME, f"http://{host}", host, is_own) is allowed
    assert checked == ["chat.example", "evil.example"]
    evil = ("https://evil.example",)
    assert allows(evil, "https://evil.example", "evil.example", is_own), "allowed by name"


def test_kind_declares_the_options() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
    class Settings:
        motd: float = dataclasses.field(
            default=1.0, metadata={"tcpd.option": (DURATION, "", True, False, None)}
        )
        websocket_origins: tuple[str, ...] = origins_option()
        websocket_ping: float = ping_option()

    assert [each.name for each in options_of(Settings)] == [
        "motd",
        "websocket_origins",
        "websocket_ping",
    ]
    assert (Settings().websocket_origins, Settings().websocket_ping) == (SAME, 45.0)
