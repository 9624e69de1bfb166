"""Differences between two configurations."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from tcpd.config import ini
from tcpd.config.build import build
from tcpd.config.diff import Difference, ServiceChange, diff
from tcpd.config.fields import option
from tcpd.config.settings import Settings
from tcpd.config.values import TEXT


@dataclass(frozen=True, slots=True, kw_only=True)
class KindSettings:
    """Settings of a kind."""

    word: str = option(TEXT, "hi", "What to say.")
    voice: str = option(TEXT, "low", "How.", reloadable=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionSettings:
    """Settings of a section."""

    colour: str = option(TEXT, "blue", "How it looks.")
    size: str = option(TEXT, "big", "Walls do not move.", reloadable=False)


@dataclass(frozen=True)
class DiffKind:
    name: str
    summary: str = "Says a word."
    settings: type = KindSettings
    words: Set[str] = frozenset()
    sample_listen: str | None = None


@dataclass(frozen=True)
class SharingKind(DiffKind):
    sections: Mapping[str, type] = field(default_factory=lambda: {"house": SectionSettings})


KINDS = {"word": DiffKind("word"), "other": DiffKind("other")}

BASE = "[service:a]\nprotocol = word\nlisten = *:1\n"


def made(text: str) -> Settings:
    document, errors = ini.read("x.ini", text)
    assert not errors
    return build(document, KINDS, {"room": SectionSettings})


def between(old: str, new: str) -> Difference:
    return diff(made(old), made(new))


def only(**differs: object) -> ServiceChange:
    same: dict[str, object] = {
        "name": "a",
        "replaced": "",
        "listen": False,
        "policy": False,
        "options": (),
    }
    return ServiceChange(**{**same, **differs})  # type: ignore[arg-type]


def test_formatting_is_no_difference() -> None:
    assert not between(BASE, "# moved\n\n" + BASE + "word = hi\n[tls:x]\ncertificate = c\n")


def test_added_and_removed_services() -> None:
    other = BASE.replace(":a]", ":b]").replace("*:1", "*:2")
    difference = between(BASE, other)
    assert (difference.added, difference.removed, difference.changed) == (("b",), ("a",), ())


def test_changes_of_a_service() -> None:
    for new, change in (
        (BASE.replace("= word", "= other"), only(replaced="protocol")),
        (BASE.replace("*:1", "*:2"), only(listen=True)),
        (BASE + "word = ho\n", only(options=("word",))),
        (BASE + "voice = loud\n", only(replaced="voice")),
        (BASE + "[policy:default]\nidle = 3s\n", only(policy=True)),
        (BASE + "policy = p\n[policy:p]\nidle = 3s\n", only(policy=True)),
    ):
        assert between(BASE, new).changed == (change,), new


def test_renamed_policy_is_no_change() -> None:
    assert not between(BASE, BASE + "policy = p\n[policy:p]\n")


def test_changes_that_require_a_restart() -> None:
    difference = between(BASE, BASE + "[room]\ncolour = red\nsize = small\n")
    assert difference.sections == {"room": ("colour",)}
    assert difference.restart == (("room", "size"),)
    assert difference.settings.sections["room"] == SectionSettings(colour="red", size="big")
    again = diff(difference.settings, made(BASE + "[room]\ncolour = red\nsize = small\n"))
    assert again.restart == (("room", "size"),), "it is reported until the restart"
    assert not again.sections


def test_declared_section_changes_its_services() -> None:
    """IKind.sections: a reload hands the new values to the services of the kind."""

    kinds = {"word": SharingKind("word"), "other": DiffKind("other")}

    def of(text: str) -> Settings:
        document, _ = ini.read("x.ini", text)
        return build(document, kinds, {})

    red = of(BASE + "[house]\ncolour = red\n")
    difference = diff(of(BASE), red)
    assert difference.sections == {"house": ("colour",)}
    assert difference.changed == (only(sections=("[house] colour",)),)
    assert diff(of(BASE), of(BASE + "[house]\nsize = small\n")).restart == (("house", "size"),)
    other = of(BASE.replace("= word", "= other"))
    assert diff(other, red).settings.sections["house"] == SectionSettings(colour="red")
    assert "house" not in diff(red, other).settings.sections
