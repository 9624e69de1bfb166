"""The report on captured handshakes, and its unavailable values."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from handshake import captured
from handshake.captured import Captured
from hypothesis import given
from hypothesis import strategies as st

from tcpd.handshake.derive import after, estimated_hops
from tcpd.handshake.facts import Absence, Endpoint, Facts, NoServerIsn, Proxy, Tls, Transport
from tcpd.handshake.report import Report, Source, Value, build
from tcpd.handshake.tcp_info import parse_tcp_info
from tcpd.handshake.tcp_options import MalformedOption, UnknownOption

STEPS = ("syn", "syn_ack", "ack")


def step(report: Report, name: str) -> dict[str, tuple[Any, str]]:
    """Return the values of a step with their sources, by name."""
    values = report.steps[STEPS.index(name)].values
    return {value.name: (value.value, str(value.source)) for value in values}


def layer(report: Report, number: int) -> dict[str, Value]:
    return {value.name: value for value in report.layers[number - 1].values}


def test_values_of_the_syn_are_seen() -> None:
    values = step(build(captured.VETH.facts()), "syn")
    expected = {
        "source": "192.0.2.2:50158",
        "destination": "192.0.2.1:54939",
        "sequence_number": 0xD8B1B92F,
        "flags": "SYN",
        "window": 64240,
        "mss": 1460,
        "window_scale": 10,
        "sack_permitted": True,
        "timestamps": True,
        "timestamp_value": 0x63C34C4A,
        "ttl": 64,
        "dont_fragment": True,
    }
    assert {name: values[name] for name in expected} == {
        name: (value, "seen") for name, value in expected.items()
    }
    assert values["relative_sequence_number"] == (0, "derived")
    assert values["hops"] == (0, "derived")


def test_values_of_the_syn_ack_are_derived() -> None:
    """A capture of such a SYN-ACK has this MSS, window, scale and TSecr."""
    values = step(build(captured.VETH.facts()), "syn_ack")
    assert values == {
        "source": ("192.0.2.1:54939", "seen"),
        "destination": ("192.0.2.2:50158", "seen"),
        "sequence_number": (None, "unavailable"),
        "relative_sequence_number": (0, "derived"),
        "acknowledgment_number": (0xD8B1B930, "derived"),
        "relative_acknowledgment_number": (1, "derived"),
        "mss": (1460, "derived"),
        "window_scale": (10, "derived"),
        "sack_permitted": (True, "derived"),
        "timestamps": (True, "derived"),
        "timestamp_echo_reply": (0x63C34C4A, "derived"),
        "ecn": (False, "derived"),
        "window": (65160, "derived"),
        "retransmissions": (0, "seen"),
    }


def test_values_of_the_ack_are_derived() -> None:
    values = step(build(captured.VETH.facts()), "ack")
    assert values["sequence_number"] == (0xD8B1B930, "derived")
    assert values["acknowledgment_number"] == (None, "unavailable")
    assert values["relative_acknowledgment_number"] == (1, "derived")
    assert values["window"] == (64512, "derived")
    assert values["round_trip_time"] == (15, "seen")


def test_a_known_server_isn_wraps_to_zero_in_the_ack() -> None:
    """RFC 9293 section 3.4: sequence numbers are unsigned, modulo 2**32."""
    report = build(captured.VETH.facts(server_isn=0xFFFFFFFF, no_server_isn=None))
    assert step(report, "syn_ack")["sequence_number"] == (0xFFFFFFFF, "derived")
    assert step(report, "ack")["acknowledgment_number"] == (0, "derived")


def test_the_syn_ack_acknowledges_data_in_the_syn() -> None:
    """RFC 7413 section 3: the server "sends a SYN-ACK segment acknowledging both the SYN
    and the data"."""
    report = build(captured.FAST_OPEN.facts())
    assert step(report, "syn")["data_length"] == (5, "seen")
    assert step(report, "syn_ack")["relative_acknowledgment_number"] == (6, "derived")
    assert step(report, "ack")["sequence_number"] == (0x205407D0 + 6, "derived")


def test_a_missing_syn_option_is_seen_as_none() -> None:
    """values.py: ``None`` and seen = known to be absent; unavailable = unknown."""
    values = step(build(captured.BARE.facts()), "syn")
    assert values["window_scale"] == (None, "seen")
    assert values["sack_permitted"] == (False, "seen")
    answer = step(build(captured.BARE.facts()), "syn_ack")
    assert answer["window_scale"] == (None, "derived")
    # without timestamps advmss is the MSS
    assert answer["mss"] == (65495, "derived")
    assert "timestamp_echo_reply" not in answer


def test_without_a_saved_syn_its_values_are_unavailable() -> None:
    report = build(captured.COOKIES.facts())
    values = step(report, "syn")
    assert values["sequence_number"] == values["mss"] == values["ttl"] == (None, "unavailable")
    # the SYN offered what was negotiated
    assert values["sack_permitted"] == values["timestamps"] == (True, "derived")
    assert values["window_scale"] == (10, "derived")
    answer = step(report, "syn_ack")
    assert answer["acknowledgment_number"] == (None, "unavailable")
    # with SYN cookies the kernel does not keep the window that it sent
    assert answer["window"] == (None, "unavailable")
    # the low 6 bits of the echoed timestamp belong to the cookie: a capture had an RTT of 40 ms on
    # a path of 20 us
    measured = replace(captured.COOKIES.tcp_info(), rtt=40000)
    report = build(captured.COOKIES.facts(accepted=measured, now=measured))
    rtt = report.steps[2].value("round_trip_time")
    assert rtt is not None
    assert (rtt.source, rtt.value) == (Source.UNAVAILABLE, None)
    assert "64 ms too long" in rtt.why


def test_syn_ack_retransmissions_are_unavailable_with_syn_cookies() -> None:
    """syncookies.c: with SYN cookies there is no request that could count them."""
    value = build(captured.COOKIES.facts()).steps[1].value("retransmissions")
    assert value is not None
    assert (value.source, value.value) == (Source.UNAVAILABLE, None)
    assert value.why == "with SYN cookies the kernel keeps no count"


#: Reasons for no saved SYN that do not imply SYN cookies.
NOT_KEPT = [Absence.OFF, Absence.NOT_SUPPORTED, Absence.FAILED, Absence.COOKIES_OR_EARLY]


@pytest.mark.parametrize("absence", NOT_KEPT)
def test_without_a_saved_syn_syn_cookies_cannot_be_ruled_out(absence: Absence) -> None:
    """The values that SYN cookies would falsify are unavailable: the report does not guess."""
    report = build(captured.VETH.facts(saved_syn=None, no_saved_syn=absence))
    for number, name in ((1, "window"), (1, "retransmissions"), (2, "round_trip_time")):
        value = report.steps[number].value(name)
        assert value is not None
        assert (value.source, value.value) == (Source.UNAVAILABLE, None)
        assert value.why.startswith("without the SYN, SYN cookies cannot be ruled out")
    # these do not depend on SYN cookies
    assert step(report, "syn_ack")["mss"] == (1460, "derived")
    assert step(report, "ack")["window"] == (64512, "derived")


@pytest.mark.parametrize("absence", [*NOT_KEPT, Absence.COOKIES_OR_LOST])
def test_a_retransmitted_syn_ack_rules_out_syn_cookies(absence: Absence) -> None:
    """tcp_minisocks.c: total_retrans starts with the request's count."""
    info = replace(captured.VETH.tcp_info(), total_retrans=2)
    facts = captured.VETH.facts(saved_syn=None, no_saved_syn=absence, accepted=info, now=info)
    report = build(facts)
    assert step(report, "syn_ack")["retransmissions"] == (2, "seen")
    assert step(report, "syn_ack")["window"] == (65160, "derived")
    assert step(report, "ack")["round_trip_time"] == (15, "seen")


def test_a_syn_option_of_invalid_length_is_marked() -> None:
    """The options in order list it, so the value "no" needs the reason."""
    facts = captured.VETH.facts()
    assert facts.saved_syn is not None
    header = facts.saved_syn.transport
    options = (UnknownOption(3, b"\1\2"), UnknownOption(4, b"\1"), MalformedOption(8, b"\x0a"))
    syn = replace(facts.saved_syn, transport=replace(header, options=options))
    values = build(replace(facts, saved_syn=syn)).steps[0]
    for name, value in (("window_scale", None), ("sack_permitted", False), ("timestamps", False)):
        found = values.value(name)
        assert found is not None
        assert (found.value, found.source) == (value, Source.SEEN)
        assert "present but has an invalid length" in found.why
    mss = values.value("mss")
    assert mss is not None
    assert mss.why == ""
    names = values.value("options")
    assert names is not None
    assert names.value == (
        "window scale (invalid length)",
        "SACK permitted (invalid length)",
        "timestamps (malformed)",
    )


def test_layers_1_to_4_behind_a_proxy_have_a_note() -> None:
    """A PROXY header describes the client; the kernel describes the proxy's connection."""
    report = build(captured.VETH.facts(proxy=Proxy(version=1)))
    notes = [section.note for section in report.layers]
    assert notes == ["between the proxy and this server"] * 4 + [""] * 3
    assert all(section.values for section in report.layers)
    titles = [section.title for section in report.steps]
    assert titles == [
        "SYN, from proxy to server",
        "SYN-ACK, from server to proxy",
        "ACK, from proxy to server",
    ]


def test_layers_1_to_4_behind_a_proxy_do_not_mention_the_client() -> None:
    report = build(captured.VETH.facts(proxy=Proxy(version=1)))
    for section in (*report.steps, *report.layers[:4]):
        for value in section.values:
            assert "client" not in f"{value.label} {value.why}"


def test_values_that_the_service_did_not_report_are_unavailable() -> None:
    """A report for an operator is made without the service, which may count commands."""
    report = build(captured.VETH.facts())
    for number, name in ((6, "encoding"), (6, "line_ending"), (7, "commands"), (7, "account")):
        value = layer(report, number)[name]
        assert value.source is Source.UNAVAILABLE
        assert value.why.startswith("not reported by the service")


def test_notes_on_a_unix_socket_name_the_proxy() -> None:
    report = build(Facts(transport=Transport.UNIX, proxy=Proxy(version=2)))
    assert "the peer is a proxy, not the client" in report.steps[0].note
    assert "the proxy and this server are both" in report.layers[0].note


def test_the_loopback_interface_has_no_medium() -> None:
    """Linux delivers to any local address over lo."""
    own = build(captured.VETH.facts(interface="lo"))
    assert layer(own, 1)["medium"].value == "none"
    other = build(captured.VETH.facts(interface="eth0"))
    assert layer(other, 1)["medium"].source is Source.UNAVAILABLE


def test_ipv6_has_a_hop_limit_with_and_without_a_saved_syn() -> None:
    """RFC 8200 section 3: IPv6 has a hop limit and no TTL."""
    for more in ({}, {"saved_syn": None, "no_saved_syn": Absence.OFF}):
        report = build(captured.IPV6.facts(**more))
        assert layer(report, 3)["ttl"].label == "hop limit"
        ttl = report.steps[0].value("ttl")
        assert ttl is not None
        assert ttl.label == "hop limit"


def test_an_unavailable_window_has_the_right_reason() -> None:
    """Early data, an early FIN and an old kernel are different reasons."""
    info = captured.VETH.tcp_info()
    data = replace(info, data_segs_in=1)
    # after an early FIN the window is that of the FIN's acknowledgment
    fin = replace(info, state=8, segs_in=3, segs_out=1, rcv_wnd=65536)
    old = replace(info, rcv_wnd=None)
    for known, why in ((data, "the first data"), (fin, "FIN"), (old, "this kernel")):
        report = build(captured.VETH.facts(accepted=known, now=known))
        window = report.steps[1].value("window")
        assert window is not None
        assert window.source is Source.UNAVAILABLE
        assert why in window.why


def test_byte_counts_name_the_overhead_they_include() -> None:
    """Facts.bytes_in: "on the wire, with TLS and PROXY headers"."""
    proxy = Proxy(version=2)
    for tls, from_proxy, why in (
        (None, None, ""),
        (Tls(), None, "on the wire, with TLS overhead"),
        (None, proxy, "on the wire, with PROXY header"),
        (Tls(), proxy, "on the wire, with PROXY header and TLS overhead"),
    ):
        facts = captured.VETH.facts(bytes_in=416, tls=tls, proxy=from_proxy)
        value = build(facts).layers[6].value("bytes_in")
        assert value is not None
        assert (value.value, value.why) == (416, why)


@pytest.mark.parametrize("absence", Absence)
def test_a_missing_syn_is_unavailable_with_its_reason(absence: Absence) -> None:
    facts = captured.VETH.facts(saved_syn=None, no_saved_syn=absence)
    value = build(facts).steps[0].value("sequence_number")
    assert value is not None
    assert (value.source, value.why) == (Source.UNAVAILABLE, absence.why)


@pytest.mark.parametrize("reason", NoServerIsn)
def test_an_unknown_server_isn_is_unavailable_with_its_reason(reason: NoServerIsn) -> None:
    value = build(captured.VETH.facts(no_server_isn=reason)).steps[1].value("sequence_number")
    assert value is not None
    assert (value.source, value.why) == (Source.UNAVAILABLE, reason.why)


def test_after_data_was_sent_the_handshake_rtt_is_unavailable() -> None:
    """tcpi_rtt is smoothed over all measurements; before data there is only the handshake's."""
    now = replace(captured.VETH.tcp_info(), data_segs_out=1)
    report = build(captured.VETH.facts(accepted=None, now=now))
    for name, value in (("ack", "round_trip_time"), ("ack", "window"), ("syn_ack", "window")):
        assert step(report, name)[value] == (None, "unavailable")
    assert step(report, "syn_ack")["retransmissions"] == (None, "unavailable")
    # does not depend on data
    assert step(report, "syn_ack")["mss"] == (1460, "derived")


def test_before_data_the_current_tcp_info_suffices() -> None:
    report = build(captured.VETH.facts(accepted=None))
    assert step(report, "ack")["round_trip_time"] == (15, "seen")
    assert step(report, "syn_ack")["retransmissions"] == (0, "seen")


def test_windows_missing_from_tcp_info_at_accept_come_from_the_current_one() -> None:
    """The first 104 bytes have no windows; until data is sent or received, "now" has them."""
    short = parse_tcp_info(captured.VETH.info[:104], "little")
    values = step(build(captured.VETH.facts(accepted=short)), "syn_ack")
    assert values["window"] == (65160, "derived")
    after_data = replace(captured.VETH.tcp_info(), data_segs_in=1)
    report = build(captured.VETH.facts(accepted=short, now=after_data))
    assert step(report, "syn_ack")["window"] == (None, "unavailable")
    assert step(report, "ack")["round_trip_time"] == (15, "seen")


def test_a_retransmitted_syn_ack_gives_no_rtt() -> None:
    """RFC 6298 section 3: RTT samples must not be made with retransmitted segments."""
    info = replace(captured.BARE.tcp_info(), rtt=0, total_retrans=2)
    report = build(captured.BARE.facts(accepted=info, now=info))
    value = report.steps[2].value("round_trip_time")
    assert value is not None
    assert value.source is Source.UNAVAILABLE
    assert "RFC 6298" in value.why
    assert step(report, "syn_ack")["retransmissions"] == (2, "seen")


def test_a_connection_accepted_before_the_ack_has_no_rtt() -> None:
    """With Fast Open, a connection is accepted in SYN-RECEIVED; advmss includes the timestamps
    then."""
    info = replace(captured.FAST_OPEN.tcp_info(), state=3, rtt=0, advmss=65495)
    report = build(captured.FAST_OPEN.facts(accepted=info, now=info))
    assert step(report, "ack")["round_trip_time"] == (None, "unavailable")
    assert step(report, "ack")["window"] == (None, "unavailable")
    # the SYN-ACK may still be retransmitted, and later counts include data
    assert step(report, "syn_ack")["retransmissions"] == (None, "unavailable")
    assert step(report, "syn_ack")["mss"] == (65495, "derived")


def test_a_unix_socket_has_no_handshake() -> None:
    facts = Facts(transport=Transport.UNIX, no_saved_syn=Absence.UNIX, age=2.0, service="control")
    report = build(facts)
    assert all(not section.values and "no handshake" in section.note for section in report.steps)
    assert [bool(section.values) for section in report.layers] == [False] * 4 + [True] * 3
    assert [hint.id for hint in report.hints] == ["unix-socket"]


def test_a_proxy_header_is_shown_in_the_session_layer() -> None:
    proxy = Proxy(
        version=2, client=Endpoint(ip_address("203.0.113.9"), 4711), tls_version="TLSv1.3"
    )
    report = build(captured.VETH.facts(proxy=proxy))
    assert "handshake between the proxy and this server" in report.steps[0].note
    session = layer(report, 5)
    assert session["proxy"].value == "version 2"
    assert session["proxy_client"].value == "203.0.113.9:4711"
    assert session["proxy_tls_version"].value == "TLSv1.3"
    assert session["proxy_host"].source is Source.UNAVAILABLE


def test_values_of_layers_1_to_4() -> None:
    facts = captured.VETH.facts(interface="hva", interface_mtu=1500, congestion="cubic")
    report = build(facts)
    assert [section.name for section in report.layers] == [
        "physical",
        "link",
        "network",
        "transport",
        "session",
        "presentation",
        "application",
    ]
    assert layer(report, 1)["interface"].value == "hva"
    assert layer(report, 1)["medium"].source is Source.UNAVAILABLE
    assert layer(report, 2)["source"].value == "02:89:0e:ef:48:7b"
    assert layer(report, 2)["mtu"].value == 1500
    assert layer(report, 3)["path_mtu"].value == 1500
    assert layer(report, 3)["dscp"].text == "0 (CS0)"
    assert layer(report, 4)["congestion_control"].value == "cubic"
    assert layer(report, 4)["rtt"].value == 15
    assert layer(report, 4)["options"].value == ("timestamps", "SACK", "window scale")


@pytest.mark.parametrize(
    ("link_layer", "why"),
    [(False, "without its link-layer header"), (True, "has no link-layer header")],
)
def test_missing_mac_addresses_have_a_reason(link_layer: bool, why: str) -> None:
    facts = replace(captured.IPV4.facts(), link_layer=link_layer)
    assert why in layer(build(facts), 2)["source"].why


def test_tls_values_are_known_absent_or_unavailable() -> None:
    tls = Tls(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", alpn="", server_name="a.example")
    report = build(captured.VETH.facts(tls=tls))
    values = layer(report, 6)
    assert values["tls_version"].value == "TLSv1.3"
    assert (values["tls_alpn"].value, values["tls_alpn"].source) == (None, Source.SEEN)
    assert values["tls_group"].source is Source.UNAVAILABLE
    resumed = layer(report, 5)["tls_resumed"]
    assert (resumed.source, "public API" in resumed.why) == (Source.UNAVAILABLE, True)


@pytest.mark.parametrize(
    ("ttl", "hops", "initial"),
    [
        (64, 0, 64),
        (57, 7, 64),
        (65, 63, 128),
        (128, 0, 128),
        (117, 11, 128),
        (255, 0, 255),
        (0, 64, 64),
    ],
)
def test_hops_are_estimated_from_the_next_initial_ttl(ttl: int, hops: int, initial: int) -> None:
    assert estimated_hops(ttl) == (hops, initial)


def test_sequence_numbers_wrap() -> None:
    """RFC 9293 section 3.4: "all arithmetic dealing with sequence numbers must be performed
    modulo 2^32"."""
    assert after(0xFFFFFFFF) == 0
    assert after(5, 3) == 8


ALL: list[Captured] = [value for value in vars(captured).values() if isinstance(value, Captured)]


@given(st.sampled_from(ALL), st.data())
def test_a_report_is_built_from_any_subset_of_facts(real: Captured, data: st.DataObject) -> None:
    """report.py: "Build the report from any facts. Raises nothing"."""
    facts = real.facts(
        congestion="cubic", max_segment=1448, interface="eth0", tls=Tls(), age=1.0, commands=0
    )
    names = data.draw(st.sets(st.sampled_from(sorted(set(Facts.__slots__) - {"transport"}))))
    gone = {name: False if name == "link_layer" else None for name in names}
    report = build(replace(facts, **gone))  # type: ignore[arg-type]
    for section in (*report.steps, *report.layers):
        listed = [value.name for value in section.values]
        assert len(listed) == len(set(listed))
        for value in section.values:
            if value.source is Source.UNAVAILABLE:
                assert value.value is None
                assert value.why
            if value.source is Source.DERIVED:
                assert value.why
