"""Lookups by the system's resolver: limits, timeouts and errors."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from reactors import ThreadlessReactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tcpd.net.lookups import MAX_QUEUED, MAX_THREADS, TIMEOUT, LookupFailed, Lookups, start_thread
from tcpd.net.names import NameEndpoint, NameResolver, addresses_of


class Resolver:
    """Holds the threads until the test completes the oldest ones."""

    def __init__(self, **bounds: Any) -> None:
        self.reactor = ThreadlessReactor()
        self.threads: list[Callable[[], None]] = []
        self.lookups = Lookups(self.reactor, start=self.threads.append, **bounds)
        self.asked: list[object] = []
        self.answers: dict[object, list[object]] = {}

    def ask(self, key: object) -> Deferred[Any]:
        def find() -> object:
            self.asked.append(key)
            if key == "wrong":
                raise RuntimeError("wrong")
            return f"answer to {key}"

        result: Deferred[Any] = self.lookups.look_up(key, find)
        result.addBoth(self.answers.setdefault(key, []).append)
        return result

    def answer(self, count: int = 1) -> None:
        for _ in range(count):
            self.threads.pop(0)()

    def failures(self, key: object) -> list[str]:
        found = self.answers.get(key, [])
        return [str(each.value) for each in found if isinstance(each, Failure)]

    @property
    def timers(self) -> int:
        return len(self.reactor.getDelayedCalls())


def test_callers_with_one_key_share_a_thread() -> None:
    resolver = Resolver()
    for _ in range(60):
        resolver.ask("a")
    assert len(resolver.threads) == 1
    resolver.answer()
    assert resolver.answers["a"] == ["answer to a"] * 60
    assert resolver.timers == 0
    resolver.ask("a")
    assert len(resolver.threads) == 1, "results are not cached"


def test_callers_time_out_while_the_thread_hangs() -> None:
    resolver = Resolver()
    resolver.ask("a")
    resolver.reactor.advance(4)
    resolver.ask("a")
    resolver.reactor.advance(TIMEOUT - 4)
    assert resolver.failures("a") == [
        f"the system's resolver has not answered in {TIMEOUT:.1f} s; "
        "do the name servers in /etc/resolv.conf answer?"
    ]
    resolver.reactor.advance(4)
    assert len(resolver.failures("a")) == 2
    assert resolver.timers == 0
    resolver.answer()
    assert len(resolver.answers["a"]) == 2, "late results are discarded"


def test_overdue_lookup_is_repeated_on_a_free_thread() -> None:
    resolver = Resolver(max_threads=2)
    for threads in (1, 2, 2):
        resolver.ask("a")
        assert len(resolver.threads) == threads
        resolver.reactor.advance(TIMEOUT)
    resolver.ask("a")
    resolver.threads.pop()()
    assert resolver.answers["a"][-1] == "answer to a"


def test_threads_and_queue_are_bounded() -> None:
    resolver = Resolver()
    for number in range(MAX_THREADS + MAX_QUEUED + 1):
        resolver.ask(number)
    assert len(resolver.threads) == MAX_THREADS
    assert resolver.failures(MAX_THREADS + MAX_QUEUED) == [
        f"{MAX_QUEUED} look-ups wait for the resolver"
    ]
    resolver.answer()
    assert len(resolver.threads) == MAX_THREADS
    assert resolver.answers[0] == ["answer to 0"]
    resolver.reactor.advance(TIMEOUT)
    resolver.answer(MAX_THREADS)
    assert resolver.threads == [], "a lookup without callers is not started"
    assert resolver.asked == list(range(MAX_THREADS + 1))
    assert resolver.timers == 0
    resolver.ask("a")
    resolver.answer()
    assert resolver.answers["a"] == ["answer to a"]


def test_cancelled_caller_does_not_cancel_the_lookup() -> None:
    resolver = Resolver()
    resolver.ask("a").cancel()
    resolver.ask("a")
    assert len(resolver.failures("a")) == 1
    resolver.answer()
    assert resolver.answers["a"][1:] == ["answer to a"]
    assert resolver.timers == 0


def test_failure_reaches_all_callers() -> None:
    resolver = Resolver()
    resolver.ask("wrong")
    resolver.ask("wrong")
    resolver.answer()
    assert resolver.failures("wrong") == ["wrong"] * 2


def test_failure_to_start_a_thread() -> None:
    resolver = Resolver()

    def none(run: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    lookups = Lookups(resolver.reactor, start=none)
    failed: list[Failure] = []
    for _ in range(MAX_THREADS + 1):
        lookups.look_up(object(), lambda: None).addErrback(failed.append)
    resolver.reactor.pump([0, 0])
    assert [str(each.value) for each in failed] == ["the system gives no thread for a look-up"] * 5


def test_process_exit_does_not_wait_for_a_thread() -> None:
    hold, begun = threading.Event(), threading.Event()
    found: list[bool] = []

    def run() -> None:
        found.append(threading.current_thread().daemon)
        begun.set()
        hold.wait(30)

    start_thread(run)
    assert begun.wait(30)
    hold.set()
    assert found == [True]


# --- names ---


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "the name has no address: Name or service not known",
        ),
        (
            socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
            "the system's resolver failed: Temporary failure in name resolution",
        ),
        (UnicodeError("label too long"), "the name cannot be looked up: UnicodeError"),
    ],
)
def test_resolver_errors_are_distinguished(
    monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(LookupFailed) as caught:
        addresses_of("a.example", 25)
    assert str(caught.value) == sentence


ANSWERS = [
    (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 25, 0, 0)),
    (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 25)),
]


@pytest.mark.parametrize("name", ["a.example", "my_host"])
def test_name_endpoint_tries_addresses_in_order(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """RFC 8305 section 5; also for a name with an underscore."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: ANSWERS)
    resolver = Resolver()
    endpoint = NameEndpoint(resolver.reactor, name, 25, 9.0, resolver.lookups)
    verifyObject(IStreamClientEndpoint, endpoint)
    connected = endpoint.connect(Factory.forProtocol(Protocol))
    assert resolver.reactor.tcpClients == []
    resolver.answer()
    resolver.reactor.advance(0.3)
    assert [each[:2] for each in resolver.reactor.tcpClients] == [
        ("2001:db8::1", 25),
        ("192.0.2.1", 25),
    ]
    failed: list[Failure] = []
    connected.addErrback(failed.append)
    connected.cancel()
    assert failed[0].check(ConnectingCancelledError)


@implementer(IResolutionReceiver)
class Receiver:
    def __init__(self) -> None:
        self.addresses: list[IAddress] = []
        self.steps: list[str] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        self.steps.append(resolutionInProgress.name)

    def addressResolved(self, address: IAddress) -> None:
        self.addresses.append(address)

    def resolutionComplete(self) -> None:
        self.steps.append("complete")


def test_reactor_name_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    lookups_made: list[tuple[object, ...]] = []

    def getaddrinfo(*arguments: object) -> Any:
        lookups_made.append(arguments)
        if len(lookups_made) == 3:
            raise socket.gaierror(socket.EAI_NONAME, "no")
        return ANSWERS

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    resolver = Resolver()
    names = NameResolver(resolver.lookups)
    verifyObject(IHostnameResolver, names)
    receivers = [Receiver() for _ in range(3)]
    names.resolveHostName(receivers[0], "a.example", 25)
    names.resolveHostName(receivers[1], "a.example", 25, [IPv4Address], "UDP")
    names.resolveHostName(receivers[2], "b.example")
    resolver.answer(3)
    assert lookups_made == [
        ("a.example", 25, socket.AF_UNSPEC, socket.SOCK_STREAM),
        ("a.example", 25, socket.AF_INET, socket.SOCK_DGRAM),
        ("b.example", 0, socket.AF_UNSPEC, socket.SOCK_STREAM),
    ]
    assert receivers[0].addresses == [
        IPv6Address("TCP", "2001:db8::1", 25),
        IPv4Address("TCP", "192.0.2.1", 25),
    ]
    assert receivers[2].steps == ["b.example", "complete"]
    assert receivers[2].addresses == []
