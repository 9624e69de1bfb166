"""Renders the report as one page of text: drawing, steps, hints and layers."""

from __future__ import annotations

from tcpd.handshake.drawing import drawing
from tcpd.handshake.report import Report
from tcpd.handshake.text import WIDTH, handshake_lines, layers_lines


def page(report: Report, utf8: bool = False, width: int = WIDTH) -> list[str]:
    """Render the whole report.

    :param utf8: allow box-drawing characters, and any letters in names; ASCII otherwise.
    :param width: the width of a line, in columns; at least :data:`tcpd.handshake.text.REPLY_WIDTH`.
    """
    return [
        *drawing_and_steps(report, utf8, width),
        "",
        *layers_lines(report, utf8, width),
    ]


def drawing_and_steps(report: Report, utf8: bool = False, width: int = WIDTH) -> list[str]:
    """Render the handshake alone: drawing, steps and hints."""
    return [*drawing(report, utf8, width), "", *handshake_lines(report, utf8, width)]
