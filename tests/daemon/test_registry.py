"""Kinds of service: built in, and from other packages."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest
from zope.interface.verify import verifyObject

from tcpd.config.fields import options_of
from tcpd.daemon.registry import BUILT_IN, GROUP, KindError, Kinds
from tcpd.interfaces import IDatagramKind, IKind


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, GROUP)


NOT_IN_THE_SAMPLE = {"forward", "exec"}


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_kinds_provide_ikind(name: str) -> None:
    kind = Kinds([])[name]
    assert verifyObject(IKind, kind)
    assert kind.name == name
    assert kind.summary.endswith(".")
    # forward requires its target
    assert (kind.sample_listen is None) == (name in NOT_IN_THE_SAMPLE)
    options_of(kind.settings)
    if "udp" in kind.words:
        assert verifyObject(IDatagramKind, kind)
        assert hasattr(kind.settings, "udp_rate")


def test_unknown_kind_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        Kinds([])["irc2"]


def test_kind_of_another_package() -> None:
    kinds = Kinds([point("echo2", "tcpd.small.echo:kind")])
    assert "echo2" in kinds
    assert len(kinds) == len(BUILT_IN) + 1
    with pytest.raises(KindError, match="it calls itself 'echo'"):
        kinds["echo2"]


def test_broken_kind_does_not_affect_others() -> None:
    kinds = Kinds(
        [
            point("gone", "no.such.module:kind"),
            point("wrong", "tcpd.config.values:TEXT"),
        ]
    )
    with pytest.raises(KindError, match=r"'gone' \(no.such.module:kind\) cannot be used: Module"):
        kinds["gone"]
    with pytest.raises(KindError, match=r"'wrong' \(tcpd.config.values:TEXT\) cannot be used"):
        kinds["wrong"]
    assert kinds["echo"].name == "echo"


@pytest.mark.parametrize(
    "points",
    [
        [point("echo", "other.echo:kind")],
        [point("x", "one:kind"), point("x", "two:kind")],
    ],
)
def test_ambiguous_name_is_rejected(points: list[EntryPoint]) -> None:
    with pytest.raises(KindError, match="is defined twice, by"):
        Kinds(points)


def test_package_found_by_two_paths_is_no_conflict() -> None:
    assert "x" in Kinds([point("x", "one:kind"), point("x", "one:kind")])


def test_list_of_kinds_omits_broken_ones() -> None:
    """For --print-config, which must not fail because of a broken package."""
    kinds = Kinds(
        [
            point("gone", "no.such.module:kind"),
            point("patient", "daemon.sharing:patient"),
            point("echo", "tcpd.small.echo.kind"),
        ]
    )
    assert [kind.name for kind in kinds.of_other_packages()] == ["patient"]
