"""The report about one connection; text, drawing and JSON are rendered from it."""

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
    """The report about one connection.

    :ivar facts: the input of the report.
    :ivar handshake: the derived values of SYN-ACK and ACK.
    :ivar steps: ``syn``, ``syn_ack`` and ``ack``, in this order.
    :ivar layers: the seven layers, from the physical one on.
    :ivar hints: the anomalies.
    """

    facts: Facts
    handshake: Handshake
    steps: tuple[Section, ...]
    layers: tuple[Section, ...]
    hints: tuple[Hint, ...]


def build(facts: Facts) -> Report:
    """Build the report from any facts. Raises nothing: unknown values are marked unavailable."""
    handshake = handshake_of(facts)
    return Report(
        facts=facts,
        handshake=handshake,
        steps=steps(facts, handshake),
        layers=layers(facts),
        hints=hints(facts, handshake),
    )
