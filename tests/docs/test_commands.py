"""Commands of README, tutorials, how-tos and reference pages are run, and their output compared."""

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
from box.page import SECTIONS as BOX_SECTIONS
from docs.commands import PAGES, ROOT, Page
from docs.places import (
    BOX,
    INLINE,
    INSTALL,
    NOWHERE,
    PROGRAMS,
    SETUPS,
    installs,
    place_of,
    programs,
    typed_for,
    unknown,
)
from docs.reading import Reader
from docs.sandbox import Sandbox, make_layer, why_not
from wires import need

from tcpd.ctl import main as ctl
from tcpd.ops import catalogue

#: Pages that README's command for the tests runs; CI runs all, which takes minutes.
SHORT = {"README.rst", "docs/howto/limits.rst"}


def pages() -> Iterator[Any]:
    """Yield the pages with commands for a sandbox where tcpd is installed."""
    for name in PAGES:
        page = Page(name)
        if any(typed_for(page, command) for command in page.commands):
            yield pytest.param(name, marks=() if name in SHORT else pytest.mark.long)


@pytest.fixture(scope="session")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The overlay of a sandbox with tcpd."""
    if why := why_not():
        pytest.skip(why)
    return make_layer(tmp_path_factory.mktemp("layer"))


@pytest.fixture(scope="session")
def bare_layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The overlay of a sandbox without tcpd."""
    if why := why_not():
        pytest.skip(why)
    wheelhouse = tmp_path_factory.mktemp("wheelhouse")
    if error := installing.download(wheelhouse, "pytest"):
        pytest.skip(f"tcpd's requirements cannot be downloaded: {error[-500:]}")
    return make_layer(tmp_path_factory.mktemp("bare-layer"), wheelhouse)


@pytest.fixture
def sandbox(layer: Path, tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox(layer, tmp_path) as sandbox:
        yield sandbox


@pytest.mark.live
@pytest.mark.parametrize("name", list(pages()))
def test_commands_of_a_page_print_what_it_shows(name: str, sandbox: Sandbox) -> None:
    page = Page(name)
    need(*programs(page))
    sandbox.must(SETUPS.get(name, "true"))
    Reader(sandbox, lambda command: typed_for(page, command)).follow(page)


@pytest.mark.live
@pytest.mark.long
def test_commands_of_pages_that_install_tcpd(bare_layer: Path, tmp_path: Path) -> None:
    """In a sandbox without tcpd, beginning with README."""
    with Sandbox(bare_layer, tmp_path) as sandbox:
        for name in filter(installs, PAGES):
            page = Page(name)
            sandbox.must(SETUPS.get(name, "true"))
            Reader(sandbox, lambda each, page=page: typed_for(page, each, with_pip=True)).follow(
                page
            )


@pytest.mark.parametrize("name", PAGES)
def test_rows_of_the_tables_match_commands(name: str) -> None:
    assert unknown(name) == []


@pytest.mark.parametrize("name", PAGES)
def test_each_command_is_run_or_has_a_reason(name: str) -> None:
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


def test_each_command_in_a_sentence_is_run_or_has_a_reason() -> None:
    typed = [command.text for name in PAGES for command in Page(name).commands]
    known = {(name, text) for name, text, _ in INLINE} | {
        (BOX_INSTALL.name, each) for each in INLINE_IN_BOX
    }
    for name in PAGES:
        for text in Page(name).inline:
            assert (name, text) in known or any(text in each for each in typed), (name, text)


def test_sections_and_sentences_that_a_box_runs_exist() -> None:
    """The tests in a box take minutes, and run on few machines."""
    run = [command for title in BOX_SECTIONS for command in BOX_INSTALL.section(title)]
    assert run == BOX_INSTALL.commands
    assert set(INLINE_IN_BOX) <= set(BOX_INSTALL.inline)


@pytest.mark.parametrize("name", PAGES)
def test_tcpd_ctl_accepts_the_commands_in_prose(name: str) -> None:
    """Arguments may be omitted."""
    parser = ctl.make_parser()
    commands = parser.commands()
    text = " ".join(Page(name).text.split())
    for found in re.findall(r"``(?:\S*/)?tcpd-ctl ([a-z][^`]*)``", text):
        command, *words = shlex.split(re.sub(r"\b(NETWORK|ADDRESS)\b", "192.0.2.1", found))
        assert command in commands, found
        words = ["1" if word in ("ID", "PORT") else word for word in words if word[0] != "["]
        if words:
            parser.parse_args([command, *words])


def test_loggers_in_log_lines_exist() -> None:
    """A log line names the class or the module that logged it."""
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
        if len("".join(pieces)) > 8:  # a pattern of fields only would match any line
            yield re.compile(".*".join(map(re.escape, pieces)))


@pytest.mark.parametrize("name", PAGES)
def test_log_messages_are_events_of_the_catalogue(name: str) -> None:
    patterns = list(_event_patterns())
    for block in Page(name).blocks:
        if block.commands or block.file or block.screen or block.language:
            continue
        for line in block.text.splitlines():
            message = re.sub(r"^(\S+ )?\[tcpd\S+#\w+\] ", "", line)
            if re.match(r"(service|tls) \S+: |operator |reload |systemd holds ", message):
                assert any(pattern.fullmatch(message) for pattern in patterns), message
