"""The pages of the manual: what docs/man.py makes of docs/, and what is in them."""

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

#: Those of its sections that its readers look for.
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
    """What ``man`` shows, 80 columns wide; it may complain of nothing."""
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
        # bold and italics without a terminal: what is struck over, and sequences
        return re.sub(r".\x08|\x1b\[[0-9;]*m", "", done.stdout)

    return shown


def terms(page: Path, section: str = "") -> set[str]:
    """The terms of its lists, one by one, of all the page or below one heading."""
    text = page.read_text("utf-8").replace("\\-", "-")
    if section:
        _, heading, rest = text.partition(f" {section}\n")
        assert heading, section
        text = re.split(r"^\.S[HS] ", rest, maxsplit=1, flags=re.M)[0]
    found = re.findall(r"^\.B (.*)$", text, re.M)
    return {term for line in found for term in re.sub(r"\\f[A-Z]", "", line).split(", ")}


def test_each_page_is_built(pages: dict[str, Path]) -> None:
    assert sorted(pages) == sorted(NAMES)
    assert {page.parent.name for page in pages.values()} == {"man1", "man5", "man7"}


@pytest.mark.parametrize("name", NAMES)
def test_man_shows_it_within_80_columns(name: str, man: Callable[[str], str]) -> None:
    text = man(name)
    assert [line for line in text.splitlines() if len(line) > 80] == []
    # the first and the last line are not of the page itself
    headings = re.findall(r"^[\[A-Z].*$", "\n".join(text.splitlines()[1:-1]), re.M)
    assert headings[0] == "NAME"
    assert headings[-1] == "SEE ALSO"
    assert {each.replace(",", " ") for each in SECTIONS_OF[name].split()} <= set(headings)
    assert "1.2.3" in text.splitlines()[-1]


@pytest.mark.parametrize("name", NAMES)
def test_no_mark_of_the_sources_is_left(name: str, man: Callable[[str], str]) -> None:
    found = re.findall(r":doc:|``|^ *\.\. |System Message|<[\w/-]+>", man(name), re.M)
    assert found == []


@pytest.mark.parametrize("name", NAMES)
def test_whatis_knows_it(name: str, pages: dict[str, Path]) -> None:
    if shutil.which("lexgrog") is None:
        pytest.skip("man-db is not installed")
    told = subprocess.run(
        ["lexgrog", str(pages[name])], capture_output=True, text=True, timeout=60, check=True
    )
    assert f': "{name.rpartition(".")[0]} - ' in told.stdout


def test_the_daemon_s_page_has_each_of_its_options(pages: dict[str, Path]) -> None:
    shown = {term.partition("=")[0] for term in terms(pages["twistd-tcpd.1"], "OPTIONS")}
    options = {f"--{name.rstrip('=')}" for name in Options().longOpt}
    assert {"--config", "--check"} < options
    assert options <= shown


def test_the_page_of_tcpd_ctl_has_each_command_and_option(pages: dict[str, Path]) -> None:
    page = pages["tcpd-ctl.1"]
    parser = ctl.make_parser()
    assert "reload" in parser.commands()
    shown = {term.partition(" ")[0] for term in terms(page, "COMMANDS") | terms(page, "OPTIONS")}
    assert {*parser.commands()} <= shown
    for action in parser.arguments():
        assert {*action.option_strings} - {"-h", "--help"} <= shown


def test_the_page_of_the_ini_file_has_each_key(pages: dict[str, Path]) -> None:
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


def test_the_page_of_the_line_has_each_command(pages: dict[str, Path]) -> None:
    shown = {term.partition(" ")[0] for term in terms(pages["tcpd-line.7"], "COMMANDS")}
    commands = {command.name for command in load_commands(points=())}
    assert "PING" in commands
    assert commands == shown


def test_a_reference_to_no_page_stops_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from docutils.utils import SystemMessage

    source = tmp_path / "wrong.rst"
    source.write_text("Name\n====\n\n:doc:`/howto/nowhere`\n")
    monkeypatch.setitem(MAN["build"].__globals__, "SOURCES", [source])
    with pytest.raises(SystemMessage, match="there is no page howto/nowhere"):
        MAN["build"](tmp_path, "1.2.3")
