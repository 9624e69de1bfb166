"""The SVG diagram of the handshake."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from web.reports import REPORTS, TCP

from tcpd.handshake.values import Source
from tcpd.web.diagram import fall, packet, svg
from tcpd.web.terms import TERMS, chips, in_short, numbers

SVG = "{http://www.w3.org/2000/svg}"
FORMS = [
    pytest.param({}, id="alone"),
    pytest.param({"inline": True}, id="wide"),
    pytest.param({"inline": True, "narrow": True}, id="narrow"),
]
Form = dict[str, bool]


def _texts(drawing: str) -> dict[str, tuple[str, str]]:
    """Return the text and the class of each value, by step and name."""
    root = ElementTree.fromstring(drawing)
    found = {}
    for element in root.iter(f"{SVG}tspan"):
        name = element.get("data-name")
        if name is not None:
            text = (element.text or "") + "".join(child.tail or "" for child in element)
            found[name] = (text, element.get("class", ""))
    return found


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", REPORTS)
def test_well_formed_and_without_scripts_and_styles(name: str, form: Form) -> None:
    """default-src 'none'; script-src 'self'; style-src 'self': nothing inline"""
    root = ElementTree.fromstring(svg(REPORTS[name], **form))
    assert root.tag == f"{SVG}svg"
    for element in root.iter():
        assert element.tag not in (f"{SVG}script", f"{SVG}style")
        assert not [key for key in element.attrib if key == "style" or key.startswith("on")]
        assert element.get("href", "#").startswith("#")


@pytest.mark.parametrize("name", TCP)
def test_numbers_are_those_of_the_report(name: str) -> None:
    report = TCP[name]
    shown = _texts(svg(report))
    expected = {}
    for section in report.steps:
        for chip in (*numbers(section), *chips(section)):
            prefix = f"{chip.label}=" if chip.label in ("seq", "ack") else ""
            key = f"{section.name}.{chip.value.name}"
            expected[key] = (prefix + in_short(chip.value), str(chip.value.source))
    assert shown == expected
    for key, (text, source) in shown.items():
        step, _, value_name = key.partition(".")
        section = next(section for section in report.steps if section.name == step)
        value = section.value(value_name)
        assert value is not None
        if type(value.value) is int and source != "unavailable":
            assert str(value.value) in re.findall(r"\d+", text)


@pytest.mark.parametrize("name", TCP)
def test_narrow_drawing_has_no_other_numbers(name: str) -> None:
    wide, narrow = svg(TCP[name]), svg(TCP[name], inline=True, narrow=True)
    assert _texts(narrow).items() <= _texts(wide).items()


def test_each_value_of_the_syn_is_in_the_drawing() -> None:
    """sequence, acknowledgment, window, and options such as MSS, SACK, timestamps, window scale"""
    assert {
        key: text for key, (text, _) in _texts(svg(REPORTS["isn"])).items() if "syn" in key
    } == {
        "syn.sequence_number": "seq=3635525935",
        "syn.mss": "1460",
        "syn.window": "64240",
        "syn.window_scale": "10 (×1024)",
        "syn.sack_permitted": "yes",
        "syn.timestamps": "yes",
        "syn.ttl": "64",
        "syn.ecn_setup": "no",
        "syn_ack.sequence_number": "seq=4294967295",
        "syn_ack.acknowledgment_number": "ack=3635525936",
        "syn_ack.mss": "1460",
        "syn_ack.window": "65160",
        "syn_ack.window_scale": "10 (×1024)",
        "syn_ack.sack_permitted": "yes",
        "syn_ack.timestamps": "yes",
        "syn_ack.ecn": "no",
    }


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", REPORTS)
def test_title_and_description_state_the_handshake(name: str, form: Form) -> None:
    report = REPORTS[name]
    root = ElementTree.fromstring(svg(report, **form))
    named = {element.get("id"): element for element in root}
    title = named[root.get("aria-labelledby")]
    words = named[root.get("aria-describedby")]
    assert title.tag == f"{SVG}title"
    assert words.tag == f"{SVG}desc"
    assert title.text
    assert words.text
    for section in report.steps:
        for chip in (*numbers(section), *chips(section)):
            assert f"{chip.label} {chip.text}" in words.text


def test_an_image_with_links_is_a_group() -> None:
    """axe-core, nested-interactive: an image may not contain links"""
    roles = [
        ElementTree.fromstring(svg(REPORTS["veth"], **form)).get("role")
        for form in ({}, {"inline": True}, {"inline": True, "narrow": True})
    ]
    assert roles == ["img", "group", "img"]
    assert "<a " not in svg(REPORTS["veth"])
    assert "<a " not in svg(REPORTS["veth"], inline=True, narrow=True)


def test_each_option_can_have_the_focus() -> None:
    report = REPORTS["veth"]
    alone = ElementTree.fromstring(svg(report))
    count = sum(len(chips(section)) for section in report.steps)
    focusable = [element for element in alone.iter() if element.get("tabindex") == "0"]
    assert len(focusable) == count
    assert all(element[0].tag == f"{SVG}title" for element in focusable)
    wide = ElementTree.fromstring(svg(report, inline=True))
    links = list(wide.iter(f"{SVG}a"))
    assert len(links) == count + sum(len(numbers(section)) for section in report.steps)
    assert all(link.get("aria-label") for link in links)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("veth", "The server's initial sequence number is unknown: [tcpd] server_isn = no."),
        ("cookies", "There is no saved SYN: the kernel saved no SYN, as it does when it sends SYN"),
        ("off", "There is no saved SYN: [tcpd] handshake = no: the daemon does not set"),
    ],
)
def test_unknown_values_have_a_reason(name: str, sentence: str) -> None:
    root = ElementTree.fromstring(svg(REPORTS[name]))
    notes = [e.text or "" for e in root.iter(f"{SVG}text") if e.get("class") == "note"]
    assert sentence in " ".join(notes)
    assert "seq=unknown</tspan>" in svg(REPORTS[name])


def test_derived_values_are_in_italics_and_the_legend_says_so() -> None:
    root = ElementTree.fromstring(svg(REPORTS["veth"]))
    for element in root.iter(f"{SVG}tspan"):
        assert (element.get("class") == Source.DERIVED) == (element.get("font-style") == "italic")
    (key,) = [element for element in root.iter(f"{SVG}g") if element.get("class") == "key"]
    assert [tspan.text for tspan in key.iter(f"{SVG}tspan")] == ["seen", "derived", "unknown"]


def test_slope_grows_with_the_round_trip_within_bounds() -> None:
    falls = [fall(rtt) for rtt in (0, 10, 100, 1000, 23_000, 100_000, 1_000_000, 60_000_000)]
    assert falls == sorted(falls)
    assert falls[0] == falls[1] < falls[2]
    assert falls[-3] < falls[-2] == falls[-1]
    assert all(later - earlier < 30 for earlier, later in pairwise(falls))


def test_arrows_meet_in_time() -> None:
    """Time runs downwards: a packet is sent when the one before has arrived."""
    root = ElementTree.fromstring(svg(REPORTS["slow"]))
    shafts = [e.get("d", "") for e in root.iter(f"{SVG}path") if e.get("class") == "shaft"]
    ends = [[float(number) for number in re.findall(r"[\d.]+", shaft)] for shaft in shafts]
    assert len(ends) == 3
    for (_, _, _, arrived), (_, sent, _, _) in pairwise(ends):
        assert 0 < sent - arrived < 4
    assert all(y1 < y2 for _, y1, _, y2 in ends)


@pytest.mark.parametrize(("name", "label"), [("fast", "1 µs"), ("slow", "30 s"), ("veth", "15 µs")])
def test_time_axis_has_the_round_trip(name: str, label: str) -> None:
    root = ElementTree.fromstring(svg(REPORTS[name]))
    assert label in [e.text for e in root.iter(f"{SVG}text") if e.get("class") == "time"]


def test_unknown_round_trip() -> None:
    assert "RTT unknown" in svg(REPORTS["cookies"])


def test_a_retransmitted_syn_ack_is_counted() -> None:
    assert ">SYN-ACK ×3<" in svg(REPORTS["retransmitted"])


@pytest.mark.parametrize("name", ["unix", "proxied_unix", "other"])
@pytest.mark.parametrize("form", FORMS)
def test_text_in_place_of_arrows(name: str, form: Form) -> None:
    drawing = svg(REPORTS[name], **form)
    assert 'class="shaft"' not in drawing
    root = ElementTree.fromstring(drawing)
    notes = [e.text or "" for e in root.iter(f"{SVG}text") if e.get("class") == "note"]
    assert f"{REPORTS[name].steps[0].note}." in " ".join(notes)


def test_behind_a_proxy_the_peer_is_the_proxy() -> None:
    drawing = svg(REPORTS["proxied"])
    assert ">proxy</text>" in drawing
    assert ">client</text>" not in drawing
    assert "this is the handshake between the proxy and this server" in drawing


@pytest.mark.parametrize("form", FORMS)
def test_text_of_the_peer_is_escaped(form: Form) -> None:
    drawing = svg(REPORTS["hostile"], **form)
    for raw in ("<script", "<b>", '</svg>"', "\x1b", "\u202e"):
        assert raw not in drawing
    assert drawing.count("</svg>") == 1
    assert "&lt;b&gt;&quot;&amp;&#x27;" in drawing


@pytest.mark.parametrize("name", TCP)
def test_nothing_leaves_the_drawing(name: str) -> None:
    root = ElementTree.fromstring(svg(TCP[name]))
    left, top, width, height = map(float, root.get("viewBox", "").split())
    for chip in root.iter(f"{SVG}rect"):
        x, y = float(chip.get("x", 0)), float(chip.get("y", 0))
        assert x >= left
        assert y >= top
        assert x + float(chip.get("width", 0)) <= left + width
        assert y + float(chip.get("height", 0)) <= top + height


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("step", [0, 1, 2])
def test_packet_of_the_lesson(name: str, step: int) -> None:
    drawing = packet(REPORTS[name], step)
    if name not in TCP:
        assert drawing == ""
        return
    root = ElementTree.fromstring(drawing)
    labels = [f"{chip.label}={chip.text}" for chip in numbers(REPORTS[name].steps[step])]
    assert " ".join(labels) in "".join(root.itertext())


def test_terms_are_sentences() -> None:
    for term in TERMS.values():
        assert term.sentence.endswith(".")
