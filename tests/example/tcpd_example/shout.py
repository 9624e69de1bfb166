"""A protocol of a few lines, served as ``protocol = shout``: what you send comes back louder."""

from collections.abc import Mapping
from dataclasses import dataclass

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

from tcpd.api import TEXT, IContext, IKind, option, whole_number


@dataclass(frozen=True, kw_only=True, slots=True)
class HouseSettings:
    """``[shout]``: what all shouting services share."""

    greeting: str = option(TEXT, "", "The first line that clients get; empty, there is none.")


@dataclass(frozen=True, kw_only=True, slots=True)
class ShoutSettings:
    """The keys of a service."""

    emphasis: int = option(whole_number(0, 10), 1, "How many exclamation marks end each line.")


class Shout(Protocol):
    """Upper-cases ASCII letters, and marks the ends of lines."""

    def __init__(self, marks: bytes, greeting: str) -> None:
        self._line_end = marks + b"\n"
        self._greeting = greeting

    def connectionMade(self) -> None:
        if self._greeting:
            self.dataReceived(f"{self._greeting}\n".encode())

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data.upper().replace(b"\n", self._line_end))


class ShoutFactory(Factory):
    """Makes one Shout for each client."""

    noisy = False

    def __init__(self, settings: ShoutSettings, house: HouseSettings) -> None:
        self._marks = b"!" * settings.emphasis
        self._greeting = house.greeting

    def buildProtocol(self, addr: IAddress | None) -> Shout:
        return Shout(self._marks, self._greeting)


@implementer(IKind)
class ShoutKind:
    """What the entry point names."""

    name = "shout"
    summary = "Sends back what you send, in upper case."
    settings = ShoutSettings
    sections: Mapping[str, type] = {"shout": HouseSettings}
    words: frozenset[str] = frozenset()
    idle = 600.0
    sample_listen = None

    def make_factory(self, settings: ShoutSettings, context: IContext) -> ShoutFactory:
        house: HouseSettings = context.sections["shout"]
        return ShoutFactory(settings, house)


kind = ShoutKind()
