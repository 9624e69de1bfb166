"""The main figures of TCP_INFO, for charts and for TCPINFO watch."""

from __future__ import annotations

from dataclasses import replace

import pytest
from handshake import captured
from hypothesis import given
from hypothesis import strategies as st

from tcpd.handshake.sample import SAMPLE_NAMES, sample, sample_line
from tcpd.handshake.tcp_info import NO_MIN_RTT, tcp_info_names


def test_figures_of_a_captured_connection() -> None:
    figures = sample(captured.VETH.tcp_info())
    assert (figures["rtt"], figures["rttvar"], figures["min_rtt"]) == (15, 7, 15)
    assert (figures["snd_cwnd"], figures["total_retrans"], figures["segs_in"]) == (10, 0, 2)
    assert "snd_ssthresh" not in figures  # "before the first loss"
    assert set(figures) <= set(SAMPLE_NAMES) <= set(tcp_info_names())


def test_bytes_and_parsed_structure_give_the_same() -> None:
    assert sample(captured.VETH.info) == sample(captured.VETH.tcp_info())


def test_figures_that_an_older_kernel_lacks_are_left_out() -> None:
    figures = sample(captured.VETH.info[:104])
    assert figures["rtt"] == 15
    assert "delivery_rate" not in figures


def test_unmeasured_rtt_is_left_out() -> None:
    info = replace(captured.VETH.tcp_info(), min_rtt=NO_MIN_RTT, pacing_rate=None)
    assert not {"min_rtt", "pacing_rate"} & set(sample(info))


@given(st.binary(max_size=300))
def test_any_bytes_are_accepted(data: bytes) -> None:
    assert set(sample(data)) <= set(SAMPLE_NAMES)


@pytest.mark.parametrize(
    ("figures", "line"),
    [
        (
            {"rtt": 15, "rttvar": 7, "snd_cwnd": 10, "total_retrans": 2},
            "rtt=15us rttvar=7us cwnd=10 rate=- retrans=2",
        ),
    ],
)
def test_line(figures: dict[str, int], line: str) -> None:
    assert sample_line(figures) == line
