"""The kinds of service: the built-in ones, and those of other packages."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from typing import Any

from twisted.python.reflect import namedAny
from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from tcpd.config.build import FAMILIES, SERVICE_KEYS
from tcpd.config.fields import options_of
from tcpd.config.settings import sections_of
from tcpd.interfaces import IDatagramKind, IKind

#: The group of entry points by which other packages register kinds.
GROUP = "tcpd.protocols"

#: The built-in kinds, registered as other packages register theirs: a name and an object.
BUILT_IN = {
    "echo": "tcpd.small.echo.kind",
    "discard": "tcpd.small.discard.kind",
    "daytime": "tcpd.small.daytime.kind",
    "qotd": "tcpd.small.qotd.kind",
    "chargen": "tcpd.small.chargen.kind",
    "time": "tcpd.small.time.kind",
    "handshake": "tcpd.small.handshake.kind",
    "line": "tcpd.line.kind.kind",
    "chat": "tcpd.chat.text.kind.kind",
    "irc": "tcpd.chat.irc.kind.kind",
    "web": "tcpd.web.kind.kind",
    "exec": "tcpd.relay.exec.kind",
    "forward": "tcpd.relay.forward.kind",
}


#: Titles of sections that kinds declare.
_TITLE = re.compile(r"[a-z][a-z0-9_-]*")


class KindError(ValueError):
    """A kind that cannot be used; its text is a sentence for the operator."""


class Kinds(Mapping[str, Any]):
    """Kinds by name, each loaded on first use.

    A kind of another package that cannot be loaded affects only configurations that name it.

    :param entry_points: the entry points of the group ``tcpd.protocols``; by default the installed
        ones.
    :raise KindError: if two have the same name.
    """

    def __init__(self, entry_points: Iterable[metadata.EntryPoint] | None = None) -> None:
        if entry_points is None:
            entry_points = metadata.entry_points(group=GROUP)
        self._loaded: dict[str, Any] = {}
        self._others: dict[str, metadata.EntryPoint] = {}
        for point in entry_points:
            other = self._others.get(point.name)
            taken = BUILT_IN.get(point.name) or (other and other.value)
            # a package on two paths of sys.path is no conflict
            if taken and taken != point.value:
                raise KindError(
                    f"protocol {point.name!r} is defined twice, by {taken} and by {point.value}; "
                    "uninstall one of the packages"
                )
            self._others[point.name] = point

    def __getitem__(self, name: str) -> Any:
        """:raise KeyError: if there is no such kind. :raise KindError: if it cannot be used."""
        if name not in self._loaded:
            if name in BUILT_IN:
                self._loaded[name] = namedAny(BUILT_IN[name])
            else:
                self._loaded[name] = self._load(self._others[name])
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in BUILT_IN or name in self._others

    def __iter__(self) -> Iterator[str]:
        return iter([*BUILT_IN, *self._others])

    def __len__(self) -> int:
        return len(BUILT_IN) + len(self._others)

    def built_in(self) -> list[Any]:
        """The built-in kinds, in the order of the documentation."""
        return [self[name] for name in BUILT_IN]

    def of_other_packages(self) -> list[Any]:
        """The kinds of other packages that can be loaded."""
        found = []
        for name in self._others:
            if name not in BUILT_IN:
                with contextlib.suppress(KindError):
                    found.append(self[name])
        return found

    @staticmethod
    def _load(point: metadata.EntryPoint) -> Any:
        try:
            kind = point.load()
            verifyObject(IKind, kind)
            if "udp" in kind.words:
                verifyObject(IDatagramKind, kind)
            if kind.name != point.name:
                raise KindError(f"it calls itself {kind.name!r}")
            hidden = {key for key, *_ in SERVICE_KEYS}
            for item in options_of(kind.settings):
                if item.name in hidden:
                    raise KindError(f"its key {item.name!r} is a key of every service")
            for title, cls in sections_of(kind).items():
                if not _TITLE.fullmatch(title) or title in FAMILIES:
                    raise KindError(f"its section {title!r} needs another title")
                options_of(cls)
        except (Invalid, KindError) as error:
            why = " ".join(str(error).split())
        except Exception as error:
            # importing a module of another package may raise anything
            why = f"{type(error).__name__}: {error}"
        else:
            return kind
        raise KindError(f"protocol {point.name!r} ({point.value}) cannot be used: {why}")
