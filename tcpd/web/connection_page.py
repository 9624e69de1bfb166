"""The page about the reader's own connection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from markupsafe import Markup

from tcpd.handshake.derive import peer_name
from tcpd.handshake.facts import Facts, Transport
from tcpd.handshake.report import Report
from tcpd.handshake.values import Section, Source, Value, duration, shown
from tcpd.web.diagram import svg
from tcpd.web.rendering import Templates
from tcpd.web.terms import Chip, chips, micro, numbers

#: The values that summarize a layer while it is closed.
_SUMMARIES = {
    "physical": ("interface", "medium"),
    "link": ("source",),
    "network": ("version", "source", "ttl"),
    "transport": ("protocol", "state", "rtt"),
    "session": ("proxy",),
    "presentation": ("tls_version", "tls_cipher", "tls"),
    "application": ("protocol",),
}

_MEANINGS = {
    "physical": "how a bit becomes voltage, light or radio",
    "link": "how a frame reaches the next machine",
    "network": "how a packet crosses the Internet",
    "transport": "how bytes arrive complete and in order",
    "session": "what outlives a single exchange",
    "presentation": "encryption and encoding",
    "application": "what the bytes mean",
}


class Row(NamedTuple):
    """A value as a row of a layer.

    :ivar label: its label.
    :ivar text: the value with its unit.
    :ivar source: ``seen``, ``derived`` or ``unavailable``.
    :ivar mark: the source for people.
    :ivar why: a rule, a reason or a remark; may be empty.
    """

    label: str
    text: str
    source: str
    mark: str
    why: str


class Layer(NamedTuple):
    """One of the seven layers.

    :ivar number: 1 to 7.
    :ivar name: the stable name, such as ``network``.
    :ivar title: the name of the layer.
    :ivar meaning: what the layer does, in a few words.
    :ivar summary: the most important values in one line; may be empty.
    :ivar note: a remark on the whole layer; may be empty.
    :ivar rows: the values.
    """

    number: int
    name: str
    title: str
    meaning: str
    summary: str
    note: str
    rows: list[Row]


class PacketCard(NamedTuple):
    """One packet of the handshake, with its values explained.

    :ivar title: such as ``SYN, from client to server``.
    :ivar side: ``client`` or ``server``: the sender.
    :ivar values: the values; ``sentence`` is empty if an earlier packet has the same.
    """

    title: str
    side: str
    values: list[Chip]


_MARKS = {Source.SEEN: "seen", Source.DERIVED: "derived", Source.UNAVAILABLE: "unknown"}


def html(
    report: Report,
    templates: Templates,
    *,
    origin: str = "",
    scripts: Sequence[str] = ("/static/connection.js",),
) -> str:
    """Render the page.

    :param origin: the scheme, host and port of this service for commands to copy, such as
        ``http://192.0.2.1:7800``; empty = no commands.
    :param scripts: the paths of ES modules; each may fill the element ``live-charts``.
    """
    tcp = report.facts.transport is Transport.TCP
    return templates.render(
        "connection.html",
        here="/",
        heading=heading(report.facts),
        lede=lede(report),
        tcp=tcp,
        # svg() escapes
        wide=Markup(svg(report, inline=True)),
        narrow=Markup(svg(report, inline=True, narrow=True)),
        hints=report.hints,
        packets=list(_packets(report)) if tcp else [],
        layers=[layer(section, 7 - at) for at, section in enumerate(reversed(report.layers))],
        origin=origin,
        scripts=scripts,
    )


def heading(facts: Facts) -> str:
    """Return the heading of the page."""
    if facts.transport is not Transport.TCP:
        return "Your connection has no handshake"
    if facts.proxy is not None:
        return "Your proxy's connection, packet by packet"
    return "Your connection, packet by packet"


def lede(report: Report) -> str:
    """Summarize the connection in two sentences."""
    facts = report.facts
    if facts.transport is Transport.UNIX:
        return (
            "You are connected over a UNIX socket. It needs no handshake, because both ends are on "
            "one machine: the kernel connects them at once."
        )
    if facts.transport is not Transport.TCP:
        return "This is not a TCP connection of this kernel, so there is no handshake to show."
    peer = peer_name(facts)
    start = (
        f"Three packets opened the connection from {facts.remote or 'an unknown address'}."
        if peer == "client"
        else f"Three packets opened the connection from your proxy at {facts.remote}."
    )
    rtt = report.handshake.rtt
    if rtt is None:
        return f"{start} This is what the server knows about them."
    # no line break between the number and its unit
    time = micro(duration(rtt * 1e-6)).replace(" ", "\N{NO-BREAK SPACE}")
    return (
        f"{start} The last one arrived {time} after the server's answer: one round trip between "
        f"{'you' if peer == 'client' else 'the proxy'} and this server."
    )


def layer(section: Section, number: int) -> Layer:
    """Describe one layer for the template."""
    summary = []
    for name in _SUMMARIES[section.name]:
        value = section.value(name)
        if value is None or value.source is Source.UNAVAILABLE:
            continue
        summary.append(_summary(value))
        if section.name == "presentation":
            break
    return Layer(
        number,
        section.name,
        section.title.partition(", ")[2],
        _MEANINGS[section.name],
        ", ".join(summary),
        section.note,
        [row(value) for value in section.values],
    )


def row(value: Value) -> Row:
    """Describe one value for the template."""
    unavailable = value.source is Source.UNAVAILABLE
    return Row(
        value.label,
        "unknown" if unavailable else micro(shown(value)),
        str(value.source),
        _MARKS[value.source],
        value.why,
    )


#: Values that need no label in a summary.
_SELF_EXPLANATORY = frozenset({"version", "protocol", "state", "tls_version"})


def _summary(value: Value) -> str:
    text = micro(shown(value))
    if value.name in _SELF_EXPLANATORY:
        return text
    return f"{value.label} {text}"


def _packets(report: Report) -> Iterator[PacketCard]:
    explained = set()
    for section in report.steps:
        side = "server" if section.name == "syn_ack" else "client"
        values = []
        for chip in (*numbers(section), *chips(section)):
            # each meaning is explained once on the page
            values.append(chip._replace(sentence="") if chip.sentence in explained else chip)
            explained.add(chip.sentence)
        yield PacketCard(section.title, side, values)
