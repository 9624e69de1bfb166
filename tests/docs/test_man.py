"""Man pages that docs/man.py makes from docs/: complete, and free of warnings."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tcpd.config.build import SERVICE_KEYS
from tcpd.config.fields import options_of
from tcpd.config.settings import PolicySettings, TcpdSettings, TLSSettings
from tcpd.ctl import main as ctl
from tcpd.daemon.compose import SECTIONS
from tcpd.daemon.registry import Kinds
from tcpd.line.loading import load_commands
from tcpd.tap import Options

pytest.importorskip("docutils", reason="comes with the extra docs")

ROOT = Path(__file__).resolve().parents[2]
MAN = runpy.run_path(str(ROOT / "docs" / "man.py"))
NAMES = ["tcpd-ctl.1", "twistd-tcpd.1", "tcpd.ini.5", "tcpd-line.7"]

#: Sections that a page must have.
SECTIONS_OF = {
    "tcpd-ctl.1": "SYNOPSIS DESCRIPTION OPTIONS COMMANDS FILES ENVIRONMENT EXIT,STATUS EXAMPLES",
    "twistd-tcpd.1": "SYNOPSIS DESCRIPTION OPTIONS SIGNALS FILES ENVIRONMENT EXIT,STATUS EXAMPLES",
    "tcpd.ini.5": "SYNOPSIS DESCRIPTION [tcpd] [policy:NAME] [service:NAME] FILES EXAMPLES",
    "tcpd-line.7": "SYNOPSIS DESCRIPTION REQUESTS REPLIES COMMANDS",
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    build: Callable[[Path, str], list[Path]] = MAN["build"]
    return {page.name: page for page in build(tmp_path_factory.mktemp("man"), "1.2.3")}


@pytest.fixture
def man(pages: dict[str, Path]) -> Callable[[str], str]:
    """Return the output of ``man``, 80 columns wide; it must print no warning."""
    if shutil.which("man") is None or shutil.which("groff") is None:
        pytest.skip("man-db and groff are not installed")

    def shown(name: str) -> str:
        done = subprocess.run(
            ["man", "--warnings", "-E", "UTF-8", "-P", "cat", "-l", str(pages[name])],
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "MANWIDTH": "80"},
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        # bold and italics: overstrikes and escape sequences
        return re.sub(r".\x08|\x1b\[[0-9;]*m", "", done.stdout)

    return shown


def terms(page: Path, section: str = "") -> set[str]:
    """Return the terms of definition lists, of the whole page or of one section."""
    text = page.read_text("utf-8").replace("\\-", "-")
    if section:
        _, heading, rest = text.partition(f" {section}\n")
        assert heading, section
        text = re.split(r"^\.S[HS] ", rest, maxsplit=1, flags=re.M)[0]
    found = re.findall(r"^\.B (.*)$", text, re.M)
    return {term for line in found for term in re.sub(r"\\f[A-Z]", "", line).split(", ")}


def test_pages_are_built(pages: dict[str, Path]) -> None:
    assert sorted(pages) == sorted(NAMES)
    assert {page.parent.name for page in pages.values()} == {"man1", "man5", "man7"}


@pytest.mark.parametrize("name", NAMES)
def test_man_shows_the_page_in_80_columns(name: str, man: Callable[[str], str]) -> None:
    text = man(name)
    assert [line for line in text.splitlines() if len(line) > 80] == []
    # without header and footer
    headings = re.findall(r"^[\[A-Z].*$", "\n".join(text.splitlines()[1:-1]), re.M)
    assert headings[0] == "NAME"
    assert headings[-1] == "SEE ALSO"
    assert {each.replace(",", " ") for each in SECTIONS_OF[name].split()} <= set(headings)
    assert "1.2.3" in text.splitlines()[-1]


@pytest.mark.parametrize("name", NAMES)
def test_no_restructuredtext_is_left(name: str, man: Callable[[str], str]) -> None:
    found = re.findall(r":doc:|``|^ *\.\. |System Message|<[\w/-]+>", man(name), re.M)
    assert found == []


@pytest.mark.parametrize("name", NAMES)
def test_lexgrog_finds_the_name(name: str, pages: dict[str, Path]) -> None:
    if shutil.which("lexgrog") is None:
        pytest.skip("man-db is not installed")
    done = subprocess.run(
        ["lexgrog", str(pages[name])], capture_output=True, text=True, timeout=60, check=True
    )
    assert f': "{name.rpartition(".")[0]} - ' in done.stdout


def test_page_of_the_daemon_has_its_options(pages: dict[str, Path]) -> None:
    shown = {term.partition("=")[0] for term in terms(pages["twistd-tcpd.1"], "OPTIONS")}
    options = {f"--{name.rstrip('=')}" for name in Options().longOpt}
    assert {"--config", "--check"} < options
    assert options <= shown


def test_page_of_tcpd_ctl_has_its_commands_and_options(pages: dict[str, Path]) -> None:
    page = pages["tcpd-ctl.1"]
    parser = ctl.make_parser()
    assert "reload" in parser.commands()
    shown = {term.partition(" ")[0] for term in terms(page, "COMMANDS") | terms(page, "OPTIONS")}
    assert {*parser.commands()} <= shown
    for each in (parser, *parser.commands().values()):
        assert {*each.options()} - {"-h", "--help"} <= shown


def test_page_of_the_ini_file_has_its_keys(pages: dict[str, Path]) -> None:
    keys = {
        "[tcpd]": [item.name for item in options_of(TcpdSettings)],
        "[policy:NAME]": [item.name for item in options_of(PolicySettings)],
        "[tls:NAME]": [item.name for item in options_of(TLSSettings)],
        "[service:NAME]": [name for name, *_ in SERVICE_KEYS],
        **{f"[{name}]": [i.name for i in options_of(cls)] for name, cls in SECTIONS.items()},
        **{
            f"protocol = {kind.name}": [item.name for item in options_of(kind.settings)]
            for kind in Kinds(entry_points=()).built_in()
        },
    }
    for heading, names in keys.items():
        assert {*names} <= terms(pages["tcpd.ini.5"], heading), heading


def test_page_of_the_line_protocol_has_its_commands(pages: dict[str, Path]) -> None:
    shown = {term.partition(" ")[0] for term in terms(pages["tcpd-line.7"], "COMMANDS")}
    commands = {command.name for command in load_commands(points=())}
    assert "PING" in commands
    assert commands == shown


def test_broken_reference_fails_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from docutils.utils import SystemMessage

    source = tmp_path / "wrong.rst"
    source.write_text("Name\n====\n\n:doc:`/howto/nowhere`\n")
    monkeypatch.setitem(MAN["build"].__globals__, "SOURCES", [source])
    with pytest.raises(SystemMessage, match="there is no page howto/nowhere"):
        MAN["build"](tmp_path, "1.2.3")
