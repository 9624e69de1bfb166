"""All of a report that people read: the drawing, the handshake step by step, hints, the layers."""

from __future__ import annotations

from tcpd.handshake.drawing import drawing
from tcpd.handshake.report import Report
from tcpd.handshake.text import WIDTH, handshake_lines, layers_lines


def page(report: Report, utf8: bool = False, width: int = WIDTH) -> list[str]:
    """All of it.

    :param utf8: whether the drawing may have box-drawing characters, and names any letters.
    :param width: the most columns of a line; not less than
        :data:`tcpd.handshake.text.REPLY_WIDTH`.
    """
    return [
        *drawing_and_steps(report, utf8, width),
        "",
        *layers_lines(report, utf8, width),
    ]


def drawing_and_steps(report: Report, utf8: bool = False, width: int = WIDTH) -> list[str]:
    """The handshake alone: the drawing, then step by step, then what stands out."""
    return [*drawing(report, utf8, width), "", *handshake_lines(report, utf8, width)]
