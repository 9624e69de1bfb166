"""Every command of README, tutorial, how-to and reference pages is run, and does what is shown."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import installing
import pytest
from box.page import INLINE as INLINE_IN_BOX
from box.page import INSTALL as BOX_INSTALL
from box.page import PAGES as BOX_PAGES
from docs.commands import PAGES, ROOT, Page
from docs.places import (
    BOX,
    INLINE,
    INSTALL,
    NOWHERE,
    PROGRAMS,
    SCENES,
    installs,
    place_of,
    programs,
    typed_for,
    unknown,
)
from docs.reading import Reader
from docs.stage import Stage, make_layer, why_not
from wires import need

from tcpd.ctl import main as ctl
from tcpd.ops import catalogue

#: What README's command for the tests types; CI types all pages, which takes minutes.
SHORT = {"README.rst", "docs/howto/limits.rst"}


def pages() -> Iterator[Any]:
    """Pages of which something is typed on a stage where tcpd is installed already."""
    for name in PAGES:
        page = Page(name)
        if any(typed_for(page, command) for command in page.commands):
            yield pytest.param(name, marks=() if name in SHORT else pytest.mark.long)


@pytest.fixture(scope="session")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is laid over the machine for each page."""
    if why := why_not():
        pytest.skip(why)
    return make_layer(tmp_path_factory.mktemp("layer"))


@pytest.fixture(scope="session")
def bare_layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for a machine where tcpd is not installed."""
    if why := why_not():
        pytest.skip(why)
    wheelhouse = tmp_path_factory.mktemp("wheelhouse")
    if error := installing.download(wheelhouse, "pytest"):
        pytest.skip(f"no package index gave what tcpd requires: {error[-500:]}")
    return make_layer(tmp_path_factory.mktemp("bare-layer"), wheelhouse)


@pytest.fixture
def stage(layer: Path, tmp_path: Path) -> Iterator[Stage]:
    with Stage(layer, tmp_path) as stage:
        yield stage


@pytest.mark.live
@pytest.mark.parametrize("name", list(pages()))
def test_a_page_does_what_it_shows(name: str, stage: Stage) -> None:
    """From its top to its bottom, on a machine of its own, as a reader types it."""
    page = Page(name)
    need(*programs(page))
    stage.must(SCENES.get(name, "true"))
    Reader(stage, lambda command: typed_for(page, command)).follow(page)


@pytest.mark.live
@pytest.mark.long
def test_the_pages_that_install(bare_layer: Path, tmp_path: Path) -> None:
    """On a machine that has no tcpd before: pip installs it, from wheels, by README first."""
    with Stage(bare_layer, tmp_path) as stage:
        for name in filter(installs, PAGES):
            page = Page(name)
            stage.must(SCENES.get(name, "true"))
            Reader(stage, lambda each, page=page: typed_for(page, each, with_pip=True)).follow(page)


@pytest.mark.parametrize("name", PAGES)
def test_the_tables_are_about_commands_that_there_are(name: str) -> None:
    assert unknown(name) == []


@pytest.mark.parametrize("name", PAGES)
def test_no_page_has_a_command_that_nothing_runs(name: str) -> None:
    """Each is typed on a stage, where pip installs, or in a box; else there is a reason."""
    page = Page(name)
    for command in page.commands:
        place = place_of(page, command)
        assert place in ("", INSTALL, BOX, NOWHERE)
        if place == BOX:
            assert name in {each.name for each in BOX_PAGES}, command
    for block in page.blocks:
        if block.commands or block.file or block.screen or block.language:
            continue
        for line in block.text.splitlines():
            word = line.split(" ")[0]
            assert word not in PROGRAMS, f"line {block.line}: a command without a prompt: {line}"
            assert not re.match(r"(\.venv/bin/|twistd |tcpd-ctl |pip )", line), line


def test_no_sentence_has_a_command_that_nothing_runs() -> None:
    """It is part of a command that is typed, a box types it, or a table says what runs it."""
    typed = [command.text for name in PAGES for command in Page(name).commands]
    known = {(name, text) for name, text, _ in INLINE} | {
        (BOX_INSTALL.name, each) for each in INLINE_IN_BOX
    }
    for name in PAGES:
        for text in Page(name).inline:
            assert (name, text) in known or any(text in each for each in typed), (name, text)


@pytest.mark.parametrize("name", PAGES)
def test_commands_within_a_sentence_are_understood(name: str) -> None:
    """tcpd-ctl has each, and takes its arguments; the name alone may stand for it."""
    parser = ctl.make_parser()
    commands = parser.commands()
    text = " ".join(Page(name).text.split())
    for found in re.findall(r"``(?:\S*/)?tcpd-ctl ([a-z][^`]*)``", text):
        command, *words = shlex.split(re.sub(r"\b(NETWORK|ADDRESS)\b", "192.0.2.1", found))
        assert command in commands, found
        words = ["1" if word in ("ID", "PORT") else word for word in words if word[0] != "["]
        if words:
            parser.parse_args([command, *words])


def test_loggers_of_log_lines_are_there() -> None:
    """A line of the log names the class, or the module, that logged it."""
    loggers = {
        found
        for path in (ROOT / "docs").rglob("*.rst")
        for found in re.findall(
            r"[\[\"](tcpd(?:\.\w+)+)(?=#(?:debug|info|warn|error)\]|\",\"fields\")",
            path.read_text("utf-8"),
        )
    }
    assert len(loggers) > 3
    for logger in loggers:
        module, _, name = logger.rpartition(".")
        found = getattr(importlib.import_module(module), name, None)
        assert found or importlib.util.find_spec(logger), logger


def _event_patterns() -> Iterator[re.Pattern[str]]:
    for event in catalogue.CATALOGUE.values():
        pieces = re.split(r"\{[^{}]*\}", event.text)
        if len("".join(pieces)) > 8:  # what is all fields would be any line
            yield re.compile(".*".join(map(re.escape, pieces)))


@pytest.mark.parametrize("name", PAGES)
def test_messages_of_the_log_are_worded_so(name: str) -> None:
    """A line that a page shows of the log is an event of the catalogue, typed page or not."""
    patterns = list(_event_patterns())
    for block in Page(name).blocks:
        if block.commands or block.file or block.screen or block.language:
            continue
        for line in block.text.splitlines():
            message = re.sub(r"^(\S+ )?\[tcpd\S+#\w+\] ", "", line)
            if re.match(r"(service|tls) \S+: |operator |reload |systemd holds ", message):
                assert any(pattern.fullmatch(message) for pattern in patterns), message
