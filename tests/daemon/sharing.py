"""Kinds of another package that share a section of the ini file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

from tcpd.api import (
    RATE,
    TEXT,
    IContext,
    IDatagramKind,
    IReconfigurable,
    Rate,
    SettingError,
    option,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSection:
    """``[shared]``: the section of these kinds."""

    word: str = option(TEXT, "hello", "What they say first.")
    fixed: str = option(TEXT, "", "What takes a restart.", reloadable=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharingSettings:
    """One key."""

    udp_rate: Rate | None = option(RATE, None)


class SayingFactory(Factory):
    """The factory whose protocols send the current word."""

    noisy = False

    def __init__(self, settings: SharingSettings, context: IContext) -> None:
        if context.sections["shared"].word == "wrong":
            raise SettingError("listen", "the shared word is wrong")
        self.context = context
        self.reconfigured = 0

    def buildProtocol(self, addr: IAddress | None) -> Saying:
        return Saying(self.context.sections["shared"].word)


@implementer(IReconfigurable)
class PatientFactory(SayingFactory):
    """A factory that a reload reconfigures."""

    def reconfigure(self, settings: SharingSettings) -> None:
        self.reconfigured += 1


class Saying(Protocol):
    """Sends a word."""

    transport: Any

    def __init__(self, word: str) -> None:
        self._word = word

    def connectionMade(self) -> None:
        self.transport.write(self._word.encode())


@implementer(IDatagramKind)
@dataclass(frozen=True)
class SayingKind:
    """Another kind with the section."""

    name: str
    factory: Any
    summary: str = "Says a word."
    settings: type = SharingSettings
    sections = {"shared": SharedSection}
    words = frozenset({"udp"})
    idle: float = 0.0
    sample_listen: Any = None

    def make_factory(self, settings: SharingSettings, context: IContext) -> SayingFactory:
        made: SayingFactory = self.factory(settings, context)
        return made

    def make_responder(self, settings: SharingSettings, context: IContext) -> Any:
        return lambda data: context.sections["shared"].word.encode()


restarted = SayingKind("restarted", SayingFactory)
patient = SayingKind("patient", PatientFactory)
