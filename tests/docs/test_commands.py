"""Every command of README, the tutorial and the how-to pages is run, and does what is shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import installing
import pytest
from docs.commands import PAGES, Command, Page
from docs.places import INSTALL, SCENES, place_of, typed_for, unknown
from docs.reading import Reader
from docs.stage import Stage, make_layer, why_not

#: Pages that were not typed yet.
PENDING = {
    f"docs/howto/{name}.rst"
    for name in (
        *("acme", "add-a-command", "add-a-protocol", "fail2ban", "forward", "handshake", "haproxy"),
        *("irc", "metrics", "monitor", "stunnel", "tls", "tuning", "xinetd", "run"),
    )
}

#: Those that are typed on a machine without tcpd, where pip installs it.
INSTALLING = [
    name
    for name in PAGES
    if any(place_of(Page(name), command) == INSTALL for command in Page(name).commands)
]


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
    if error := installing.download(wheelhouse):
        pytest.skip(f"no package index gave what tcpd requires: {error[-500:]}")
    return make_layer(tmp_path_factory.mktemp("bare-layer"), wheelhouse)


@pytest.fixture
def stage(layer: Path, tmp_path: Path) -> Iterator[Stage]:
    with Stage(layer, tmp_path) as stage:
        yield stage


@pytest.mark.live
@pytest.mark.parametrize(
    "name", [name for name in PAGES if Page(name).commands and name not in PENDING]
)
def test_a_page_does_what_it_shows(name: str, stage: Stage) -> None:
    """From its top to its bottom, on a machine of its own, as a reader types it."""
    page = Page(name)
    stage.must(SCENES.get(name, "true"))
    Reader(stage, lambda command: typed_for(page, command)).follow(page)


@pytest.mark.live
@pytest.mark.long
@pytest.mark.parametrize("name", INSTALLING)
def test_a_page_that_installs_tcpd(name: str, bare_layer: Path, tmp_path: Path) -> None:
    """The same on a machine that has no tcpd before: pip installs it, from wheels."""
    page = Page(name)

    def typed(command: Command) -> Command | None:
        return command if place_of(page, command) == INSTALL else typed_for(page, command)

    with Stage(bare_layer, tmp_path) as stage:
        stage.must(SCENES.get(name, "true"))
        Reader(stage, typed).follow(page)


@pytest.mark.parametrize("name", PAGES)
def test_the_tables_are_about_commands_that_there_are(name: str) -> None:
    assert unknown(name) == []
