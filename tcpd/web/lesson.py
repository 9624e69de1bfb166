"""The lesson: chapters with the reader's own numbers, and exercises with a check."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import NamedTuple

from markupsafe import Markup

from tcpd.handshake.derive import peer_name
from tcpd.handshake.facts import Transport
from tcpd.handshake.report import Report
from tcpd.handshake.values import Plain, Source, duration
from tcpd.web.diagram import packet, svg
from tcpd.web.exercises import EXERCISES, CheckResult, Exercise, check
from tcpd.web.rendering import Templates
from tcpd.web.terms import micro

__all__ = [
    "CHAPTERS",
    "EXERCISES",
    "Chapter",
    "CheckResult",
    "Exercise",
    "Place",
    "answer_page",
    "answer_text",
    "chapter_page",
    "check",
    "exercises_page",
    "index_page",
    "place_of",
]


class Chapter(NamedTuple):
    """A chapter.

    :ivar name: its name in the path, ``/learn/NAME``, and that of its template.
    :ivar title: its title.
    :ivar summary: what it is about, one sentence.
    """

    name: str
    title: str
    summary: str


_ALL = (
    Chapter("connection", "What a connection is", "Two programs, four numbers, and two counters."),
    Chapter("layers", "The layers", "Each packet is a letter in an envelope in an envelope."),
    Chapter("syn", "SYN: the offer", "Your first packet, and what it promises."),
    Chapter("syn-ack", "SYN-ACK: the answer", "The server agrees, and makes an offer itself."),
    Chapter("ack", "ACK: the round trip", "The third packet, and what two would not show."),
    Chapter("trouble", "What can go wrong", "Lost packets, middleboxes, proxies and floods."),
)
CHAPTERS = {chapter.name: chapter for chapter in _ALL}


class Place(NamedTuple):
    """Where the service is, for commands to copy.

    :ivar origin: scheme, host and port, such as ``http://192.0.2.1:7800``.
    :ivar host: the host name or address, without brackets.
    :ivar port: the port.
    """

    origin: str
    host: str
    port: int


#: A host and a port in an HTTP request; text that a shell could interpret does not match.
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,253})(?::([0-9]{1,5}))?")


def place_of(report: Report, host: str | None = None, secure: bool = False) -> Place:
    """Find out where the service is.

    :param host: the Host header of the request. If it is not a valid one, the connection's own
        address is used.
    :param secure: whether the connection uses TLS.
    """
    scheme, usual = ("https", 443) if secure else ("http", 80)
    found = None if host is None else _HOST.fullmatch(host)
    if found is not None and not found[1].startswith("-"):
        name, port = found[1], int(found[2] or usual)
    elif report.facts.local is not None:
        local = report.facts.local
        address = str(local.address).partition("%")[0]
        name, port = (address if local.address.version == 4 else f"[{address}]"), local.port
    else:
        name, port = "localhost", usual
    shown = "" if port == usual else f":{port}"
    return Place(f"{scheme}://{name}{shown}", name.strip("[]"), port)


class ReaderNumbers(NamedTuple):
    """The reader's numbers, for sentences. ``None`` = unknown.

    :ivar tcp: whether the connection is TCP.
    :ivar peer: ``client`` or ``proxy``.
    :ivar your: ``your`` or ``your proxy's``: whose packets they are.
    :ivar values: the values of the three packets by step and name, such as ``syn.mss``.
    :ivar syn: whether the SYN was saved.
    :ivar version: ``IPv4`` or ``IPv6``.
    :ivar headers: the bytes of IP and TCP header.
    :ivar rtt: the round trip, for people.
    :ivar no_rtt: why it is unknown.
    """

    tcp: bool
    peer: str
    your: str
    values: dict[str, Plain]
    syn: bool
    version: str
    headers: int
    rtt: str | None
    no_rtt: str

    def get(self, name: str) -> Plain:
        """Return a value such as ``syn.mss``, or ``None`` if it is unknown or absent."""
        return self.values.get(name)


def reader_of(report: Report) -> ReaderNumbers:
    """Collect the reader's numbers."""
    facts = report.facts
    rtt = report.handshake.rtt
    peer = peer_name(facts)
    six = facts.remote is not None and facts.remote.address.version == 6
    return ReaderNumbers(
        tcp=facts.transport is Transport.TCP,
        peer=peer,
        your="your" if peer == "client" else "your proxy's",
        values={
            f"{section.name}.{value.name}": value.value
            for section in report.steps
            for value in section.values
            if value.source is not Source.UNAVAILABLE
        },
        syn=facts.saved_syn is not None,
        version="IPv6" if six else "IPv4",
        headers=60 if six else 40,
        rtt=None if rtt is None else micro(duration(rtt * 1e-6)),
        no_rtt=report.handshake.no_rtt,
    )


def index_page(report: Report, templates: Templates) -> str:
    """Render ``/learn``: the contents."""
    return templates.render("learn.html", here="/learn", chapters=_ALL, reader=reader_of(report))


def chapter_page(name: str, report: Report, templates: Templates) -> str:
    """Render ``/learn/NAME``.

    :raises KeyError: there is no chapter of this name.
    """
    chapter = CHAPTERS[name]
    at = _ALL.index(chapter)
    step = ("syn", "syn-ack", "ack").index(name) if name in ("syn", "syn-ack", "ack") else None
    tcp = report.facts.transport is Transport.TCP
    return templates.render(
        f"chapters/{name}.html",
        here="/learn",
        chapter=chapter,
        number=at + 1,
        before=_ALL[at - 1] if at else None,
        after=_ALL[at + 1] if at + 1 < len(_ALL) else None,
        reader=reader_of(report),
        facts=report.facts,
        hints={hint.id for hint in report.hints},
        # both functions escape
        drawing=Markup("" if step is None else packet(report, step)),
        whole=Markup(svg(report, inline=True, narrow=True) if name == "ack" and tcp else ""),
    )


class _Shown(NamedTuple):
    exercise: Exercise
    commands: list[str]
    undo: list[str]


def exercises_page(report: Report, templates: Templates, place: Place) -> str:
    """Render ``/learn/exercises``."""
    return templates.render(
        "exercises.html",
        here="/learn",
        exercises=[_shown(exercise, report, place) for exercise in EXERCISES.values()],
        reader=reader_of(report),
    )


def answer_page(name: str, report: Report, templates: Templates, place: Place) -> str:
    """Render ``/learn/check/NAME`` for browsers.

    :raises KeyError: there is no exercise of this name.
    """
    shown = _shown(EXERCISES[name], report, place)
    return templates.render(
        "check.html",
        here="/learn",
        shown=shown,
        answer=check(shown.exercise, report),
        following=_following(name),
    )


def answer_text(name: str, report: Report) -> list[str]:
    """Render ``/learn/check/NAME`` as lines of text, for ``curl``.

    :raises KeyError: there is no exercise of this name.
    """
    exercise = EXERCISES[name]
    answer = check(exercise, report)
    lines = [f"{'PASSED' if answer.passed else 'NOT YET'}: {exercise.title}", answer.sentence]
    if answer.passed:
        lines += ["", f"To think about: {exercise.question}"]
        following = _following(name)
        if following is not None:
            lines.append(f"Next: /learn/check/{following.name} ({following.title})")
    return lines


def _following(name: str) -> Exercise | None:
    names = list(EXERCISES)
    at = names.index(name) + 1
    return EXERCISES[names[at]] if at < len(names) else None


def _address(report: Report, place: Place) -> str:
    """Return the server's address as the client sees it; NAT may hide the socket's address."""
    try:
        return str(ip_address(place.host))
    except ValueError:
        local = report.facts.local
        return "ADDRESS" if local is None else str(local.address).partition("%")[0]


def _shown(exercise: Exercise, report: Report, place: Place) -> _Shown:
    url = f"{place.origin}/learn/check/{exercise.name}"
    fields = {
        # some shells expand brackets
        "url": f"'{url}'" if "[" in url else url,
        "host": f"[{place.host}]" if ":" in place.host else place.host,
        "port": place.port,
        "address": _address(report, place),
        "socat": "OPENSSL" if place.origin.startswith("https:") else "TCP",
    }
    return _Shown(
        exercise,
        [command.format(**fields) for command in exercise.commands],
        [command.format(**fields) for command in exercise.undo],
    )
