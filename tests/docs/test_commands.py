"""Every command of README, the tutorial and the how-to pages is run, and does what is shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import installing
import pytest
from docs.commands import PAGES, Page
from docs.places import SCENES, installs, programs, typed_for, unknown
from docs.reading import Reader
from docs.stage import Stage, make_layer, why_not
from wires import need

#: Pages that take more than ten seconds.
LONG = {"docs/howto/acme.rst", "docs/howto/irc.rst"}


def pages() -> Iterator[Any]:
    """Pages of which something is typed on a stage where tcpd is installed already."""
    for name in PAGES:
        page = Page(name)
        if any(typed_for(page, command) for command in page.commands):
            yield pytest.param(name, marks=pytest.mark.long if name in LONG else ())


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
