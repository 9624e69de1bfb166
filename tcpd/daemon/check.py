"""Checks a configuration as far as that is possible without a start: nothing is opened."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any

from twisted.internet.task import Clock

from tcpd.config.errors import ConfigError
from tcpd.config.settings import Settings
from tcpd.daemon.compose import Complaints
from tcpd.daemon.daemon import Daemon
from tcpd.daemon.directories import check_directories
from tcpd.daemon.surroundings import Surroundings


def check(
    settings: Settings,
    kinds: Mapping[str, Any],
    wall_clock: Callable[[], float],
    surroundings: Surroundings,
    known: Container[str] = (),
) -> list[str]:
    """Check settings, the files that they name, and the directories of UNIX sockets and the state.

    :param known: see :func:`tcpd.daemon.directories.check_directories`.
    :return: what there is to say of settings that nothing is wrong with, a line each.
    :raise ConfigError: with all that is wrong.
    """
    complaints = Complaints(settings)
    remarks = check_directories(settings, surroundings, complaints, known)
    errors: list[ConfigError] = []
    try:
        remarks += Daemon(settings, kinds, Clock(), wall_clock).remarks()
    except ConfigError as error:
        errors.append(error)
    try:
        complaints.check()
    except ConfigError as error:
        errors.append(error)
    if errors:
        raise ConfigError(
            [line for error in errors for line in error.lines],
            [place for error in errors for place in error.places],
        )
    return remarks
