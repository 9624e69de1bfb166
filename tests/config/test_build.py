"""Building of settings from documents, and its errors."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tcpd.config import ini
from tcpd.config.build import build
from tcpd.config.errors import ConfigError
from tcpd.config.fields import option, options_of
from tcpd.config.listen import LISTENERS, Listener
from tcpd.config.load import find_files, load
from tcpd.config.settings import Settings
from tcpd.config.show import reference, sample, show_config
from tcpd.config.values import DURATION, PATH, TEXT, Type, whole_number


@dataclass(frozen=True, slots=True, kw_only=True)
class WordSettings:
    """Settings of a kind."""

    word: str = option(TEXT, "hi", "What to say.")
    times: int = option(whole_number(1, 9), 1, "How often.")
    file: str = option(PATH, "", "Where more is.")
    lines: str = option(Type("lines", str, str), "", "Several of them.")
    password: str = option(TEXT, "", "What nobody may see.", secret=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomSettings:
    """Settings of a section."""

    patience: float = option(DURATION, 1.0, "How long.", reloadable=False)


class WordKind:
    name = "word"
    summary = "Says a word."
    settings: type = WordSettings
    words: Set[str] = frozenset({"udp"})
    sample_listen: str | None = "127.0.0.1:7001"


KINDS = {"word": WordKind()}
SECTIONS = {"room": RoomSettings}


def made(text: str) -> Settings:
    document, errors = ini.read("/etc/x.ini", text)
    assert not errors
    return build(document, KINDS, SECTIONS)


def wrong(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        made(text)
    return caught.value.lines


def test_service_has_options_of_its_kind_and_defaults() -> None:
    settings = made("[service:a]\nprotocol = word\nlisten = *:1\ntimes = 3\nfile = quotes\n")
    service = settings.services["a"]
    assert service.options == WordSettings(times=3, file="/etc/quotes")
    assert service.policy == "default"
    assert settings.policies["default"].connections == 5000
    assert settings.sections["room"] == RoomSettings()
    assert settings.source("service:a", "times") == "/etc/x.ini:4"
    assert settings.source("service:a", "word") == "/etc/x.ini:1"


def test_equal_configurations_have_equal_settings() -> None:
    one = made("[service:a]\nprotocol = word\nlisten = *:1\n")
    two = made("# moved\n\n[service:a]\nlisten = *:1\nprotocol = word\ntimes = 1\n")
    assert one == two


def test_all_errors_are_reported_in_the_order_of_lines() -> None:
    assert wrong(
        """\
[tcpd]
drian = 3s
connections = many
[service:a]
protocol = wrod
listen = *:1
[service:b]
protocol = word
listen =
    *:1 tls=mian
    127.0.0.1:99999
    *:2 starttls=main
policy = pubilc
tims = 2
[policy:public]
idle = forever
[tls:main]
[sevrice:c]
[service:]
[service:Ä]
"""
    ) == [
        "/etc/x.ini:2: [tcpd] drian: there is no such key; did you mean drain?",
        "/etc/x.ini:3: [tcpd] connections: 'many' is not a whole number from 1 to 1000000",
        "/etc/x.ini:5: [service:a] protocol: there is no protocol 'wrod'; did you mean word?",
        "/etc/x.ini:10: [service:b] listen: there is no [tls:mian]; did you mean main?",
        "/etc/x.ini:10: [service:b] listen: *:1 is already taken by [service:a]",
        "/etc/x.ini:11: [service:b] listen: '127.0.0.1:99999': '99999' is not a port "
        "from 0 to 65535",
        "/etc/x.ini:12: [service:b] listen: 'starttls' is not for this protocol, whose listeners "
        "take tls=NAME and udp",
        "/etc/x.ini:13: [service:b] policy: there is no [policy:pubilc]; did you mean public?",
        "/etc/x.ini:14: [service:b] tims: there is no such key; did you mean times?",
        "/etc/x.ini:16: [policy:public] idle: 'forever' is not a duration; write a number with "
        "ms, s, min, h or d, like 30s",
        "/etc/x.ini:17: [tls:main] certificate: this key must be given",
        "/etc/x.ini:18: [sevrice:c]: there is no such section; did you mean [service:c]?",
        "/etc/x.ini:19: [service:]: a name has lower-case letters, digits, dots, hyphens and "
        "underscores, at most 63, and begins with a letter or digit",
        "/etc/x.ini:20: [service:Ä]: a name has lower-case letters, digits, dots, hyphens and "
        "underscores, at most 63, and begins with a letter or digit",
    ]


def test_removed_key_is_an_error_with_a_hint() -> None:
    """NEWS: "A configuration that still has the key is refused with file and line"."""
    assert wrong("[tcpd]\ntransport = stock\n[service:a]\nprotocol = word\nlisten = *:1\n") == [
        "/etc/x.ini:2: [tcpd] transport: there is no such key; it was removed; delete the line"
    ]


def test_errors_do_not_hide_others() -> None:
    """An invalid name, protocol or line does not prevent other checks."""
    assert wrong(
        """\
[service:a]
protocol = wrod
listen =
    *:1 tls=mian
    *:2 frob udp udp tls=main
    127.0.0.1:99999 mode=0660
policy = pubilc
[service:B]
protocol = word
tims = 2
listen = *:x
[service:control]
protocol = word
times = 10
listen = *:3
[service:d]
listen = *:y
policy = main
[policy:MAIN]
idel = 3s
"""
    ) == [
        "/etc/x.ini:2: [service:a] protocol: there is no protocol 'wrod'; did you mean word?",
        "/etc/x.ini:4: [service:a] listen: there is no [tls:mian]",
        "/etc/x.ini:5: [service:a] listen: 'frob' is not an option of a listener; there are "
        "tls=NAME, starttls=NAME, proxy=NETWORK, udp, websocket and, for unix:PATH, mode=0660, "
        "owner=USER and group=GROUP",
        "/etc/x.ini:5: [service:a] listen: 'udp' occurs twice",
        "/etc/x.ini:5: [service:a] listen: udp takes an address and a port, and no TLS or PROXY "
        "header",
        "/etc/x.ini:6: [service:a] listen: mode= goes with unix: only",
        "/etc/x.ini:6: [service:a] listen: '127.0.0.1:99999': '99999' is not a port "
        "from 0 to 65535",
        "/etc/x.ini:7: [service:a] policy: there is no [policy:pubilc]",
        "/etc/x.ini:8: [service:B]: a name has lower-case letters, digits, dots, hyphens and "
        "underscores, at most 63, and begins with a letter or digit",
        "/etc/x.ini:10: [service:B] tims: there is no such key; did you mean times?",
        "/etc/x.ini:11: [service:B] listen: '*:x': 'x' is not a port from 0 to 65535",
        "/etc/x.ini:12: [service:control]: control is the name of an internal service; "
        "choose another name",
        "/etc/x.ini:14: [service:control] times: '10' is not a whole number from 1 to 9",
        "/etc/x.ini:16: [service:d] protocol: this key must be given",
        "/etc/x.ini:17: [service:d] listen: '*:y': 'y' is not a port from 0 to 65535",
        "/etc/x.ini:18: [service:d] policy: there is no [policy:main]",
        "/etc/x.ini:19: [policy:MAIN]: a name has lower-case letters, digits, dots, hyphens and "
        "underscores, at most 63, and begins with a letter or digit",
        "/etc/x.ini:20: [policy:MAIN] idel: there is no such key; did you mean idle?",
    ]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (
            "protocol = wrod\nlisten = *:1\ntimes = 3\ntims = 3",
            [
                "2: [service:a] protocol: there is no protocol 'wrod'; did you mean word?",
                "5: [service:a] tims: there is no such key; did you mean times?",
            ],
        ),
        (  # of a package that is not installed
            "protocol = shout\nlisten = *:1\nemphasis = 3",
            ["2: [service:a] protocol: there is no protocol 'shout'; there are word"],
        ),
        (
            "protocol = WORD\nlisten = *:1",
            ["2: [service:a] protocol: there is no protocol 'WORD'; did you mean word?"],
        ),
        (
            "listen = *:1\nfoo = 1",
            [
                "1: [service:a] protocol: this key must be given",
                "3: [service:a] foo: there is no such key",
            ],
        ),
        (
            "PROTOCOL = word\nListen = *:1",
            [
                "1: [service:a] listen: at least one listener must be given",
                "2: [service:a] protocol: this key must be given; did you mean protocol where it "
                "says PROTOCOL?",
                "3: [service:a] Listen: there is no such key; did you mean listen?",
            ],
        ),
    ],
)
def test_unknown_keys_are_reported_without_a_kind(lines: str, says: list[str]) -> None:
    """An unknown ``protocol`` does not hide the service's other errors, mistyped keys included."""
    assert wrong(f"[service:a]\n{lines}\n") == [f"/etc/x.ini:{line}" for line in says]


def test_errors_of_listeners_have_their_lines() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Site:
        listen: tuple[Listener, ...] = option(LISTENERS, (), "Where.")

    document, _ = ini.read("x.ini", f"{GOOD}[site]\nlisten =\n *:x\n *:2 tls=y\n z:3\n")
    with pytest.raises(ConfigError) as caught:
        build(document, KINDS, {"site": Site})
    assert [line.partition(" ")[0] for line in caught.value.lines] == [
        "x.ini:6:",
        "x.ini:7:",
        "x.ini:8:",
    ]


def test_parse_errors_do_not_hide_other_errors() -> None:
    """Missing keys are not reported then, as they may be in the invalid lines."""
    document, faults = ini.read(
        "x.ini", "[service:a]\nprotocol word\nlisten = *:x\npolicy = p\n[policy:p] deny = 1\n"
    )
    with pytest.raises(ConfigError) as caught:
        build(document, KINDS, SECTIONS, faults)
    assert caught.value.lines == [
        "x.ini:2: this line is not a [section] or key = value; indent it if it continues a value",
        "x.ini:3: [service:a] listen: '*:x': 'x' is not a port from 0 to 65535",
        "x.ini:5: [policy:p]: only a comment may follow the name of a section; write "
        "deny = ... on a separate line",
    ]


GOOD = "[service:a]\nprotocol = word\nlisten = *:1\n"


@pytest.mark.parametrize(
    ("title", "says"),
    [
        ("DEFAULT", "there are tcpd, room, policy:NAME, tls:NAME, service:NAME"),
        ("TCPD", "did you mean [tcpd]?"),
        (" tcpd ", "did you mean [tcpd]?"),
        ("tcpd:main", "did you mean [tcpd]?"),
        ("service", "did you mean [service:NAME]?"),
        ("Service:a", "did you mean [service:a]?"),
        ("polcy:x", "did you mean [policy:x]?"),
        (":", "there is no such section"),
        (":x", "there is no such section"),
        ("x" * 5000, "there is no such section"),
        ("service:", "a name has lower-case letters"),
        ("service: a", "a name has lower-case letters"),
        ("service:A", "a name has lower-case letters"),
        ("service:a:b", "a name has lower-case letters"),
        ("service:" + "x" * 5000, "a name has lower-case letters"),
        ("policy:" + "x" * 64, "a name has lower-case letters"),
        ("tls:\u0661", "a name has lower-case letters"),
        ("service:metrics", "choose another name"),
    ],
)
def test_invalid_section_titles(title: str, says: str) -> None:
    (line,) = wrong(f"{GOOD}[{title}]\n")
    assert line.startswith("/etc/x.ini:4: [")
    assert says in line
    assert line.isprintable()
    assert len(line) < 1100


@given(st.text(max_size=30), st.text(max_size=20), st.text(max_size=20))
@example("\0", "x", "y")
@example("a\x1b", "x", "y")
@example("service:\ud800", "x", "\ud800")
def test_any_input_raises_only_config_errors(title: str, key: str, value: str) -> None:
    document, faults = ini.read("x.ini", f"{GOOD}[{title}]\n{key} = {value}\n")
    try:
        build(document, KINDS, SECTIONS, faults)
    except ConfigError as error:
        assert all(line.isprintable() for line in error.lines)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "there is no [service:NAME] section"),
        ("[tcpd]\n", "there is no [service:NAME] section"),
        ("[service:a]\nprotocol = word\n", "[service:a] listen: at least one listener"),
        (
            "[service:a]\nlisten = *:1\nprotocl = word\n",
            "x.ini:3: [service:a] protocol: this key must be given; did you mean protocol where "
            "it says protocl?",
        ),
        ("[service:a]\nprotocol = word\nlisten =\n", "[service:a] listen: at least one listener"),
        (
            "[service:a]\nprotocol = word\nlisten = *:1\n"
            "[service:b]\nprotocol = word\nlisten = *:1\n",
            "/etc/x.ini:6: [service:b] listen: *:1 is already taken by [service:a]",
        ),
        (
            "[service:a]\nprotocol = word\nlisten =\n *:1\n *:1\n",
            "/etc/x.ini:5: [service:a] listen: *:1 is already taken by [service:a]",
        ),
        (
            "[tls:a]\ncertificate = x\n[service:a]\nprotocol = word\nlisten =\n *:1\n *:1 tls=a\n",
            "/etc/x.ini:7: [service:a] listen: *:1 is already taken by [service:a]",
        ),
        (
            "[service:a]\nprotocol = word\nlisten =\n unix:/x\n unix:/x mode=0600\n",
            "/etc/x.ini:5: [service:a] listen: unix:/x is already taken by [service:a]",
        ),
        (
            "[tls:a]\ncertificate = x\nclient_certificate = required\n"
            "[service:a]\nprotocol = word\nlisten = *:1 tls=a\n",
            "/etc/x.ini:3: [tls:a] client_certificate: this key has no effect without client_ca",
        ),
    ],
)
def test_invalid_configurations(text: str, says: str) -> None:
    (line,) = wrong(text)
    assert says in line


def test_tcp_and_udp_ports_do_not_conflict() -> None:
    settings = made("[service:a]\nprotocol = word\nlisten =\n *:1\n *:1 udp\n")
    assert [str(listener) for listener in settings.services["a"].listen] == ["*:1", "*:1 udp"]


def test_kind_that_cannot_be_loaded_is_an_error() -> None:
    class Broken(dict[str, WordKind]):
        def __getitem__(self, name: str) -> WordKind:
            raise ValueError("protocol 'x' cannot be used: no module y")

    document, _ = ini.read("x.ini", "[service:a]\nprotocol = x\nlisten = *:1\nits = own\n")
    with pytest.raises(ConfigError) as caught:
        build(document, Broken(x=WordKind()), {})
    assert caught.value.lines == [
        "x.ini:2: [service:a] protocol: protocol 'x' cannot be used: no module y"
    ]


def test_settings_class_with_a_plain_attribute_raises() -> None:
    @dataclass(frozen=True)
    class Loose:
        x: int = 1

    with pytest.raises(TypeError, match=r"Loose\.x"):
        options_of(Loose)


# --- sections that kinds declare ---


@dataclass(frozen=True, slots=True, kw_only=True)
class GameSettings:
    """``[game]``: What all games share."""

    players: int = option(whole_number(1, 9), 2, "How many play.")


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherGameSettings:
    """``[game]``: another class."""

    board: str = option(TEXT, "", "Which one.")


class ChessKind(WordKind):
    name = "chess"
    sections = {"game": GameSettings}


class GoKind(WordKind):
    name = "go"
    sections = {"game": GameSettings}


class PokerKind(WordKind):
    name = "poker"
    sections = {"game": OtherGameSettings}


class OwnRoomKind(WordKind):
    name = "own-room"
    sections = {"room": OtherGameSettings}


class Games(dict[str, WordKind]):
    """Kinds; ``broken`` cannot be loaded."""

    def __getitem__(self, name: str) -> WordKind:
        if name == "broken":
            raise ValueError("protocol 'broken' cannot be used")
        return super().__getitem__(name)


GAMES = Games(
    {kind.name: kind for kind in (WordKind(), ChessKind(), GoKind(), PokerKind(), OwnRoomKind())}
)
GAMES["broken"] = WordKind()


def playing(*protocols: str, more: str = "") -> Settings:
    services = (
        f"[service:{each}]\nprotocol = {each}\nlisten = *:{number}\n"
        for number, each in enumerate(protocols, 1)
    )
    document, errors = ini.read("/etc/x.ini", "".join(services) + more)
    assert not errors
    return build(document, GAMES, SECTIONS)


def test_declared_section_is_parsed_and_shown() -> None:
    """IKind.sections: "Each is a section of the ini file that all services of the kind share" """
    settings = playing("chess", "word", more="[game]\nplayers = 3\n")
    assert settings.sections["game"] == GameSettings(players=3)
    assert settings.services["chess"].sections == ("game",)
    assert settings.services["word"].sections == ()
    assert "[game]\n# /etc/x.ini:8\nplayers = 3\n" in show_config(settings)
    assert playing("chess").sections["game"] == GameSettings()
    assert "game" not in playing("word").sections


def test_declared_section_is_checked() -> None:
    with pytest.raises(ConfigError) as caught:
        playing("chess", more="[game]\nplayers = 10\nplayer = 1\n")
    assert caught.value.lines == [
        "/etc/x.ini:5: [game] players: '10' is not a whole number from 1 to 9",
        "/etc/x.ini:6: [game] player: there is no such key; did you mean players?",
    ]


def test_declared_section_without_a_service_is_valid() -> None:
    """The section of a service that is commented out stays."""
    with pytest.raises(ConfigError) as caught:
        playing("word", more="[game]\nplayers = x\n")
    assert any("[game] players: 'x' is not" in line for line in caught.value.lines)


def test_kinds_share_a_section_by_the_same_class() -> None:
    """IKind.sections: "Several kinds may declare a section together, with the same class" """
    settings = playing("chess", "go", more="[game]\nplayers = 4\n")
    assert settings.sections["game"] == GameSettings(players=4)
    with pytest.raises(ConfigError) as caught:
        playing("chess", "poker")
    assert caught.value.lines == [
        "/etc/x.ini:5: [service:poker] protocol: the section [game] is declared by protocol chess "
        "and, with other keys, by protocol poker; a configuration can have only one of them"
    ]
    with pytest.raises(ConfigError) as caught:
        playing("own-room")
    assert "[room] is declared by tcpd itself and, with other keys, by protocol own-room" in str(
        caught.value
    )


def test_unknown_section_has_a_hint() -> None:
    with pytest.raises(ConfigError) as caught:
        playing("chess", more="[gaem]\n[nothing]\n")
    assert caught.value.lines == [
        "/etc/x.ini:4: [gaem]: there is no such section; did you mean [game]?",
        "/etc/x.ini:5: [nothing]: there is no such section; there are tcpd, room, game, "
        "policy:NAME, tls:NAME, service:NAME",
    ]


@pytest.mark.parametrize("protocol", ["broken", "elsewhere"])
def test_section_of_a_missing_kind_is_not_reported(protocol: str) -> None:
    """Only the missing kind is reported, as it may declare the section."""
    with pytest.raises(ConfigError) as caught:
        playing(protocol, more="[own]\n[roon]\n")
    first, second = caught.value.lines
    assert first.startswith(f"/etc/x.ini:2: [service:{protocol}] protocol: ")
    assert second == "/etc/x.ini:5: [roon]: there is no such section; did you mean [room]?"


def test_sample_and_reference_have_declared_sections() -> None:
    text = sample([WordKind()], SECTIONS, [ChessKind()])
    assert "#[game]\n# What all games share.\n#\n# How many play." in text
    assert "#[service:chess]\n# Says a word.\n#protocol = chess\n" in text, "not in force"
    document, _ = ini.read("/etc/x.ini", text)
    assert list(build(document, GAMES, SECTIONS).services) == ["word"]
    page = reference([WordKind(), ChessKind()], SECTIONS)
    assert "[game]\n------\n\nWhat all games share.\n\n``players``\n" in page


# --- showing ---


def test_sample_equals_the_defaults() -> None:
    settings = made(sample(KINDS.values(), SECTIONS))
    assert list(settings.services) == ["word"]
    assert settings.services["word"].options == WordSettings()


def test_sample_with_all_keys_enabled_equals_the_defaults() -> None:
    text = sample(KINDS.values(), SECTIONS)
    in_force = "\n".join(
        line[1:] if line.startswith("#") and " = " in f"{line} " and line[1] != " " else line
        for line in text.split("\n")
    )
    assert in_force != text
    assert "\nidle = auto\n" in in_force
    in_force = in_force[: in_force.index("#[tls:main]")] + in_force[in_force.index("# Services.") :]
    assert made(in_force) == made(text)


def test_sample_shows_other_kinds_as_comments() -> None:
    class OtherKind(WordKind):
        name = "other"
        sample_listen = None

    text = sample([*KINDS.values(), OtherKind()], SECTIONS)
    assert list(made(text).services) == ["word"]
    assert "#[service:other]\n# Says a word.\n#protocol = other\n#listen = " in text
    in_force = text.replace("\n#[service:other]", "\n[service:other]")
    for key in ("protocol", "listen"):
        in_force = in_force.replace(f"\n#{key} =", f"\n{key} =")
    document, _ = ini.read("/etc/x.ini", in_force)
    found = build(document, {**KINDS, "other": OtherKind()}, SECTIONS)
    assert found.services["other"].options == WordSettings()


def test_show_config_has_sources_and_round_trips() -> None:
    settings = made(
        "[service:a]\nprotocol = word\nlisten =\n  *:1\n  *:1 udp\nword = x y\n[policy:p]\n"
        "allow = 10.0.0.0/8\n[tls:t]\ncertificate =\n  c.pem\n  d.pem\nkey = credential:k\n"
    )
    text = show_config(settings)
    assert "# /etc/x.ini:6\nword = x y\n# default\ntimes = 1\n" in text
    assert made(text) == settings


def test_multi_line_value_round_trips() -> None:
    """Such as a script, in ``command = /bin/sh -c '...'``."""
    settings = made("[service:a]\nprotocol = word\nlisten = *:1\nlines = a = 1\n  [b]\n  c\n")
    assert made(show_config(settings)) == settings


def test_paths_are_relative_to_their_ini_file() -> None:
    """A systemd credential has its own directory."""
    settings = made(
        "[service:a]\nprotocol = word\nlisten = *:1\n[tls:t]\ncertificate =\n  c.pem\n  /d/e.pem\n"
        "  credential:f.pem\nclient_ca = g.pem\n"
    )
    tls = settings.tls["t"]
    assert tls.certificate == ("/etc/c.pem", "/d/e.pem", "credential:f.pem")
    assert (tls.key, tls.client_ca) == ((), "/etc/g.pem")


def test_show_config_masks_secrets() -> None:
    text = show_config(made("[service:a]\nprotocol = word\nlisten = *:1\npassword = s3cret\n"))
    assert "s3cret" not in text
    assert "password = (hidden)" in text


# --- files ---


def test_later_files_win_and_directories_are_sorted(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "20.ini").write_text("[service:a]\nword = second\n")
    (tmp_path / "d" / "10.ini").write_text(
        "[service:a]\nprotocol = word\nlisten = *:1\nword = first\n"
    )
    (tmp_path / "d" / "30.ini.bak").write_text("nonsense")
    (tmp_path / "late.ini").write_text("\ufeff[service:a]\ntimes = 2\n")
    files = find_files([str(tmp_path / "d"), str(tmp_path / "late.ini")])
    assert [Path(name).name for name in files] == ["10.ini", "20.ini", "late.ini"]
    settings = load(files, "", KINDS, SECTIONS)
    assert settings.services["a"].options == WordSettings(word="second", times=2)


def test_all_unreadable_files_are_reported(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"[room]\nx = \xe4\ny = 1\n# \xe4\n")
    (tmp_path / "broken").write_text("x = 1\n")
    (tmp_path / "utf-16").write_bytes("\ufeff[room]\nx = 1\n".encode("utf-16-le"))
    files = [str(tmp_path / name) for name in ("latin", "gone", "broken", "utf-16")]
    with pytest.raises(ConfigError) as caught:
        load(files, "", KINDS, SECTIONS)
    assert caught.value.lines == [
        f"{files[0]}:2: this line is not UTF-8 text",
        f"{files[0]}:3: [room] y: there is no such key",
        f"{files[0]}:4: this line is not UTF-8 text",
        f"{files[1]}: cannot be read: No such file or directory",
        f"{files[2]}:1: a [section] must come before the first key",
        f"{files[3]}:1: this line is not UTF-8 text",
    ]


def test_directory_without_ini_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no \*\.ini file"):
        find_files([str(tmp_path)])


def test_built_in_sample_is_used_without_files() -> None:
    settings = load([], sample(KINDS.values(), SECTIONS), KINDS, SECTIONS)
    assert settings.source("service:word", "listen").startswith("<built-in sample>:")


def test_control_path_is_relative_to_its_ini_file() -> None:
    """auto and none are not paths."""

    served = "[service:a]\nprotocol = word\nlisten = 127.0.0.1:7\n"

    def control(value: str) -> str:
        document, _ = ini.read("/etc/tcpd/x.ini", f"[tcpd]\ncontrol = {value}\n{served}")
        return build(document, KINDS, SECTIONS).tcpd.control

    assert control("run/control") == "/etc/tcpd/run/control"
    assert control("/run/control") == "/run/control"
    assert (control("auto"), control("none")) == ("auto", "none")
    # the syntax of a listener would be a relative path
    with pytest.raises(ConfigError, match=r"control: it takes a path without unix:; write /run/x$"):
        control("unix:/run/x")
    with pytest.raises(ConfigError, match="longer than the 107 bytes"):
        control("x" * 100)


@pytest.mark.parametrize(
    "text",
    [
        "[service:a]\nprotocol = word\nlisten = *:1\npin = hunter2\n",
        "[service:a]\nprotocol = word\nlisten = *:1\npin = 1, hunter2\n  and more\n",
        "[service:a] pin = hunter2\nprotocol = word\nlisten = *:1\n",
        "[service:a]\nprotocol = word\nlisten = *:1\nword hunter2\n",
        "[service:a]\nprotocol = word\nlisten = *:1\nnosuch = hunter2\n",
        "[service:a]\nprotocol = word\nlisten = *:1\npin = 1\nhunter2\n",
    ],
    ids=["value", "part", "behind a header", "no equals sign", "no such key", "not indented"],
)
def test_no_error_quotes_a_secret(text: str) -> None:
    """DESIGN section 4: 'no secret in a log'. Errors are logged."""

    @dataclass(frozen=True, kw_only=True)
    class Pinned:
        pin: int = option(whole_number(0, 9999), 0, "Nobody sees it.", secret=True)

    class Pin:
        name = "word"
        settings = Pinned
        words = frozenset({"tls"})

    document, faults = ini.read("x.ini", text)
    with pytest.raises(ConfigError) as caught:
        build(document, {"word": Pin()}, {}, faults)
    assert "hunter2" not in str(caught.value)
    assert len(caught.value.sources) == 1
    assert caught.value.sources[0].startswith("x.ini:")


def test_no_error_quotes_a_password_hash() -> None:
    """The hash may be in the value of another key, by mistake."""
    hashed = "$scrypt$ln=15,r=8,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"
    document, faults = ini.read("x.ini", f"{GOOD}[policy:default]\nidle = {hashed}\n")
    with pytest.raises(ConfigError) as caught:
        build(document, KINDS, SECTIONS, faults)
    assert caught.value.lines == [
        "x.ini:5: [policy:default] idle: '$scrypt$(hidden)' is not a duration; write a number "
        "with ms, s, min, h or d, like 30s"
    ]


def test_error_sources_are_unique_and_ordered() -> None:
    """ "for users who may not read the configuration" """
    document, faults = ini.read(
        "x.ini", "[policy:default]\nidle = x\nnosuch = 1\n[service:a]\nlisten = y z\n"
    )
    with pytest.raises(ConfigError) as caught:
        build(document, KINDS, SECTIONS, faults)
    assert caught.value.sources[:2] == ["x.ini:2", "x.ini:3"]
    assert len(set(caught.value.sources)) == len(caught.value.sources)
