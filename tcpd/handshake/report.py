"""The report about one connection, which text, drawing and JSON are renderings of."""

from __future__ import annotations

from dataclasses import dataclass

from tcpd.handshake.derive import Handshake, handshake_of
from tcpd.handshake.facts import Facts
from tcpd.handshake.hints import Hint, hints
from tcpd.handshake.layers import layers
from tcpd.handshake.steps import steps
from tcpd.handshake.values import Section, Source, Value

__all__ = ["Hint", "Report", "Section", "Source", "Value", "build"]


@dataclass(frozen=True, slots=True)
class Report:
    """All that can be told of a connection.

    :ivar facts: what it was made of.
    :ivar handshake: what was derived of SYN-ACK and ACK.
    :ivar steps: ``syn``, ``syn_ack`` and ``ack``, in this order.
    :ivar layers: the seven layers, from the physical one on.
    :ivar hints: what stands out.
    """

    facts: Facts
    handshake: Handshake
    steps: tuple[Section, ...]
    layers: tuple[Section, ...]
    hints: tuple[Hint, ...]


def build(facts: Facts) -> Report:
    """Make the report. Takes any facts and raises nothing: what is not known is told as such."""
    handshake = handshake_of(facts)
    return Report(
        facts=facts,
        handshake=handshake,
        steps=steps(facts, handshake),
        layers=layers(facts),
        hints=hints(facts, handshake),
    )
