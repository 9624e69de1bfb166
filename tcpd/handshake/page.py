"""All of a report that people read: the drawing, the handshake step by step, hints, the layers."""

from __future__ import annotations

from tcpd.handshake.drawing import drawing
from tcpd.handshake.report import Report
from tcpd.handshake.text import handshake_lines, layers_lines


def page(report: Report, utf8: bool = False) -> list[str]:
    """Lines of at most 79 columns.

    :param utf8: whether the drawing may have box-drawing characters, and names any letters.
    """
    return [
        *drawing_and_steps(report, utf8),
        "",
        *layers_lines(report, utf8),
    ]


def drawing_and_steps(report: Report, utf8: bool = False) -> list[str]:
    """The handshake alone: the drawing, then step by step, then what stands out."""
    return [*drawing(report, utf8), "", *handshake_lines(report, utf8)]
