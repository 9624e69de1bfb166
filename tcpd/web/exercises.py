"""The exercises of the lesson: a change on the reader's machine, checked on the next connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tcpd.handshake.derive import EcnSetup, ecn_setup
from tcpd.handshake.facts import Facts, Transport
from tcpd.handshake.packet import SavedSyn
from tcpd.handshake.report import Report
from tcpd.handshake.tcp_info import InfoOptions
from tcpd.handshake.tcp_options import (
    FastOpen,
    MaximumSegmentSize,
    SackPermitted,
    TCPOption,
    Timestamps,
    WindowScale,
)

#: The largest MSS, and the largest window, that pass: less than those of usual systems and links.
SMALL_MSS = 1200
SMALL_WINDOW = 16384


class CheckResult(NamedTuple):
    """The result of a check.

    :ivar passed: whether the connection shows the change.
    :ivar sentence: what the connection shows, and what to do if it does not.
    """

    passed: bool
    sentence: str


class Exercise(NamedTuple):
    """An exercise.

    In commands, ``{url}`` stands for the URL of the check, ``{host}`` and ``{port}`` for the
    service, ``{address}`` for the server's IPv4 or IPv6 address, and ``{socat}`` for socat's
    address type, with or without TLS.

    :ivar name: its name in the path, ``/learn/check/NAME``.
    :ivar title: its title.
    :ivar task: what to change, and what to expect.
    :ivar commands: make the change and check it.
    :ivar undo: undo the change.
    :ivar question: something to think about afterwards.
    :ivar judge: the check of a connection over TCP.
    """

    name: str
    title: str
    task: str
    commands: tuple[str, ...]
    undo: tuple[str, ...]
    question: str
    judge: Callable[[Facts], CheckResult]


def check(exercise: str | Exercise, report: Report) -> CheckResult:
    """Check whether the reader's connection shows the change of an exercise.

    :param exercise: an exercise, or its name.
    :raises KeyError: there is no exercise of this name.
    """
    found = EXERCISES[exercise] if isinstance(exercise, str) else exercise
    facts = report.facts
    if facts.transport is Transport.UNIX:
        return CheckResult(
            False, "This connection is a UNIX socket, without a handshake. Connect over TCP."
        )
    if facts.transport is not Transport.TCP:
        return CheckResult(
            False, "This is not a TCP connection of this kernel. Connect without it."
        )
    answer = found.judge(facts)
    if facts.proxy is None:
        return answer
    return CheckResult(
        answer.passed,
        f"{answer.sentence} But this is the handshake of your proxy: connect without it to see "
        "your own.",
    )


def _no_syn(facts: Facts) -> CheckResult:
    why = "it has no saved SYN" if facts.no_saved_syn is None else facts.no_saved_syn.why
    return CheckResult(False, f"This connection cannot be checked: {why}. Connect once more.")


def _small_mss(facts: Facts) -> CheckResult:
    syn = facts.saved_syn
    if syn is None:
        return _no_syn(facts)
    option = syn.transport.option(MaximumSegmentSize)
    if option is None:
        return CheckResult(
            False, "Your SYN has no MSS option at all: a middlebox may have removed it."
        )
    if option.value <= SMALL_MSS:
        return CheckResult(
            True,
            f"Your SYN announces an MSS of {option.value} bytes, so the server sends you at most "
            f"{option.value} bytes in a segment.",
        )
    return CheckResult(
        False,
        f"Your SYN announces an MSS of {option.value} bytes, more than {SMALL_MSS}. Check the "
        "route with ip route get, and open a new connection.",
    )


def _small_window(facts: Facts) -> CheckResult:
    if facts.saved_syn is None:
        return _no_syn(facts)
    window = facts.saved_syn.transport.window
    if window <= SMALL_WINDOW:
        return CheckResult(
            True,
            f"The window in your SYN is {window} bytes: the server may send no more than that "
            "before it must wait for an acknowledgment.",
        )
    return CheckResult(
        False,
        f"The window in your SYN is {window} bytes, more than {SMALL_WINDOW}: the receive buffer "
        "has its usual size. Set it before the program connects.",
    )


def _without(
    kind: type[TCPOption], bit: InfoOptions, name: str, effect: str, key: str
) -> Callable[[Facts], CheckResult]:
    def judge(facts: Facts) -> CheckResult:
        syn, info = facts.saved_syn, facts.accepted or facts.now
        offered = None if syn is None else syn.transport.option(kind) is not None
        if offered is None and info is not None and bit in info.negotiated:
            # an option is in use only if the SYN offered it
            offered = True
        if offered is None:
            return _no_syn(facts)
        if offered:
            return CheckResult(
                False, f"Your SYN still offers {name}. Check sysctl {key}: it must be 0."
            )
        return CheckResult(True, f"Your SYN does not offer {name}: {effect}.")

    return judge


def _ecn(facts: Facts) -> CheckResult:
    syn = facts.saved_syn
    if syn is None:
        return _no_syn(facts)
    setup = ecn_setup(syn)
    if setup not in (EcnSetup.CLASSIC, EcnSetup.ACCURATE):
        return CheckResult(
            False,
            "Your SYN does not request ECN. Check sysctl net.ipv4.tcp_ecn: it must be 1. A "
            "middlebox may also clear the flags.",
        )
    flags = "ECE and CWR" if setup is EcnSetup.CLASSIC else "AE, CWR and ECE"
    return CheckResult(True, f"Your SYN requests ECN with the flags {flags}{_ecn_outcome(facts)}.")


def _ecn_outcome(facts: Facts) -> str:
    info = facts.accepted or facts.now
    if info is None:
        return ""
    if InfoOptions.ECN in info.negotiated:
        return ", and the server agreed"
    return ", but the server did not agree"


def _ipv6(facts: Facts) -> CheckResult:
    if facts.remote is None:
        return CheckResult(False, "The address of this connection is unknown. Connect once more.")
    address = facts.remote.address
    if address.version == 6:
        return CheckResult(True, f"You are connected over IPv6, from {address}.")
    return CheckResult(
        False,
        f"You are connected over IPv4, from {address}. The host name needs an IPv6 address, and "
        "the service must listen on IPv6.",
    )


def _fast_open(facts: Facts) -> CheckResult:
    syn: SavedSyn | None = facts.saved_syn
    if syn is None:
        return _no_syn(facts)
    option = syn.transport.option(FastOpen)
    if option is None:
        return CheckResult(
            False,
            "Your SYN has no Fast Open option. Check sysctl net.ipv4.tcp_fastopen: 1 or 3 lets "
            "clients use it.",
        )
    if not option.cookie:
        return CheckResult(True, "Your SYN requests a Fast Open cookie for later connections.")
    return CheckResult(
        True,
        f"Your SYN shows a Fast Open cookie and carries {syn.data_length} bytes of data: the "
        "request did not wait for the handshake.",
    )


_ALL = (
    Exercise(
        "small-mss",
        "A smaller MSS",
        f"Have your kernel announce an MSS of at most {SMALL_MSS} bytes. The first command shows "
        "your route to the server: put its gateway, if there is one, and its device into the "
        "second one. Without root, the last one sets the MSS of a single connection.",
        (
            "ip route get {address}",
            "sudo ip route add {address} via GATEWAY dev DEVICE advmss 1200",
            "curl {url}",
            "printf 'GET /learn/check/small-mss HTTP/1.0\\r\\n\\r\\n' | "
            "socat -t 5 - {socat}:{host}:{port},mss=1200",
        ),
        ("sudo ip route del {address}",),
        "The MTU of your interface is unchanged. How large are the segments that you send?",
        _small_mss,
    ),
    Exercise(
        "receive-buffer",
        "A small receive buffer",
        "Give one connection a receive buffer of 8192 bytes before it connects, and look at the "
        "window and its scale.",
        (
            "printf 'GET /learn/check/receive-buffer HTTP/1.0\\r\\n\\r\\n' | "
            "socat -t 5 - {socat}:{host}:{port},rcvbuf=8192",
        ),
        (),
        "The window scale is smaller too. Why does the kernel not need it any more?",
        _small_window,
    ),
    Exercise(
        "no-window-scaling",
        "No window scaling",
        "Turn window scaling off. The window then ends at 65535 bytes.",
        ("sudo sysctl net.ipv4.tcp_window_scaling=0", "curl {url}"),
        ("sudo sysctl net.ipv4.tcp_window_scaling=1",),
        "How fast can a download be with 65535 bytes in flight and a round trip of 100 ms?",
        _without(
            WindowScale,
            InfoOptions.WINDOW_SCALE,
            "window scaling",
            "at most 65535 bytes can be in flight",
            "net.ipv4.tcp_window_scaling",
        ),
    ),
    Exercise(
        "no-timestamps",
        "No timestamps",
        "Turn timestamps off. Each segment then has room for 12 more bytes of data.",
        ("sudo sysctl net.ipv4.tcp_timestamps=0", "curl {url}"),
        ("sudo sysctl net.ipv4.tcp_timestamps=1",),
        "How does the kernel measure the round trip now?",
        _without(
            Timestamps,
            InfoOptions.TIMESTAMPS,
            "timestamps",
            "the round trip is measured less often",
            "net.ipv4.tcp_timestamps",
        ),
    ),
    Exercise(
        "no-sack",
        "No selective acknowledgment",
        "Turn SACK off. After a loss, the sender then retransmits more than was lost.",
        ("sudo sysctl net.ipv4.tcp_sack=0", "curl {url}"),
        ("sudo sysctl net.ipv4.tcp_sack=1",),
        "Ten segments are sent, and the second one is lost. What does the receiver acknowledge?",
        _without(
            SackPermitted,
            InfoOptions.SACK,
            "SACK",
            "after a loss the sender retransmits more than was lost",
            "net.ipv4.tcp_sack",
        ),
    ),
    Exercise(
        "ecn",
        "Explicit congestion notification",
        "Have your kernel request ECN. By default, Linux only accepts it.",
        ("sudo sysctl net.ipv4.tcp_ecn=1", "curl {url}"),
        ("sudo sysctl net.ipv4.tcp_ecn=2",),
        "Which two bits of the IP header does a router change when it is congested?",
        _ecn,
    ),
    Exercise(
        "ipv6",
        "Over IPv6",
        "Connect over IPv6, and compare the MSS with that over IPv4. If the URL below has an IPv4 "
        "address, put the name or the IPv6 address of the server in its place.",
        ("curl -6 {url}",),
        (),
        "The MSS is 20 bytes smaller. Where are they?",
        _ipv6,
    ),
    Exercise(
        "fast-open",
        "Fast Open",
        "Ask for a Fast Open cookie. With a cookie, a later SYN may carry the request itself.",
        ("curl --tcp-fastopen {url}",),
        (),
        "Why does a server accept data in a SYN only with a cookie?",
        _fast_open,
    ),
)
EXERCISES = {exercise.name: exercise for exercise in _ALL}
