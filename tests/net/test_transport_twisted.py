"""Twisted's own tests of ports, transports and TLS, run against those of tcpd.

A child process runs Twisted's modules with :mod:`net.listening_reactor` as its reactor, so that the
server side of each connection is tcpd's. Most of those tests exercise the client's side, so a
second run swaps the two sides.

Tests that do not apply are listed here, each with its reason. No other test may be skipped, except
those that Twisted skips for the reasons listed. A minimum number of tests has to pass.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.live,
    pytest.mark.long,
    pytest.mark.skipif(
        importlib.util.find_spec("hamcrest") is None,
        reason="Twisted's tests need PyHamcrest (the test extra brings it)",
    ),
]

PATIENCE = 300.0

#: Runs tests, except those in a table of patterns and reasons, and prints a line of JSON.
SCRIPT = """
import fnmatch, json, sys
from net.listening_reactor import ListeningReactor
from twisted.internet.main import installReactor
installReactor(ListeningReactor())

from twisted.internet.test import connectionmixins
from twisted.internet.test.reactormixins import ReactorBuilder
from twisted.trial import unittest
swapped, table, names = json.loads(sys.argv[1])
ReactorBuilder._reactors = ["net.listening_reactor.ListeningReactor"]
ReactorBuilder.timeout = unittest.TestCase.timeout = 20

if swapped:
    plain = connectionmixins.runProtocolsWithReactor

    def run_swapped(builder, server, client, *more):
        return plain(builder, client, server, *more)

    connectionmixins.runProtocolsWithReactor = run_swapped
    from twisted.internet.test import test_tcp, test_unix

    for case in (
        test_tcp.TCPTransportTestsBuilder,
        test_tcp.AdoptStreamConnectionTestsBuilder,
        test_unix.UNIXAdoptStreamConnectionTestsBuilder,
    ):
        def connected(self, *where, connect=case.getConnectedClientAndServer):
            return connect(self, *where).addCallback(lambda three: (three[1], three[0], three[2]))

        case.getConnectedClientAndServer = connected

from twisted.trial.reporter import VerboseTextReporter
from twisted.trial.runner import TestLoader, TrialRunner


def name_of(test):
    return test.id().replace("_ListeningReactorTests", "").removeprefix("twisted.")


def tests_of(suite):
    for each in suite:
        if hasattr(each, "__iter__"):
            yield from tests_of(each)
        else:
            yield each


suite = TestLoader().loadByNames(names, recurse=True)
used = set()
for test in tests_of(suite):
    for pattern, reason in table.items():
        if fnmatch.fnmatchcase(name_of(test), pattern):
            used.add(pattern)
            test.skip = "table: " + reason

seen = []


class Reporter(VerboseTextReporter):
    def done(self):
        super().done()
        seen.append(self)


TrialRunner(Reporter, workingDirectory="trial").run(suite)
(reporter,) = seen
print()
print(json.dumps({
    "good": reporter.wasSuccessful(),
    "passed": reporter.successes,
    "failed": sorted({name_of(test) for test, _ in reporter.failures + reporter.errors}),
    "skipped": {name_of(test): str(reason) for test, reason in reporter.skips},
    "unused": sorted(set(table) - used),
}))
"""

LOGGED = "the service logs its listeners (event service.listening), not the port"
CONTEXT = "no logging context, because it is slow; connections log their own fields"
NAMED = "compares Twisted's repr; tests/net/test_transport.py and test_port.py check tcpd's"
BINDING = "interface= with a Twisted object; tcpd's listeners are addresses"
DESCRIPTORS = "tcpd does not pass descriptors over UNIX sockets (IUNIXTransport)"
BEFORE_TLS = "needs the protocol before the handshake is complete"
ONCE = "a port of tcpd's cannot listen again after it is closed"
OPTIONS = "expects TCP_NODELAY and SO_KEEPALIVE to be off at first; tcpd sets them"
WORDS = "another message of the TypeError: test_write_of_other_than_bytes_raises_type_error"
INSIDE = "uses private attributes of Twisted's objects"

#: Patterns of tests, without "twisted.", that do not apply to the server's side, with reasons.
TABLE = {
    "internet.test.test_*.test_logPrefix": CONTEXT,
    "internet.test.test_*.test_startedListeningLogMessage": LOGGED,
    "internet.test.test_*.test_connectionLostLogMsg": LOGGED,
    "internet.test.test_*.test_writeSequenceWithUnicodeRaisesException": WORDS,
    "internet.test.test_tcp.*.test_serverAddressTCP?": NAMED,
    "internet.test.test_unix.*.test_ServerAddressUNIX": NAMED,
    "test.test_tcp.ListeningTests.test_serverRepr": NAMED,
    "test.test_unix.UnixSocketTests.test_reprWith*StyleFactory": NAMED,
    "internet.test.test_tcp.TestBindAddressBuilder.test_bindAddressL*": BINDING,
    "internet.test.test_tcp.TestBindAddressBuilder.test_bindAddressBasic": BINDING,
    "internet.test.test_tcp.TestBindAddressBuilder.test_bindAddressReuse*": BINDING,
    "internet.test.test_tcp.TCPConnectionTestsBuilder.test_resumeProducingWhileDisconnecting": (
        "reading stops after the callback that closes, not in the call, which saves a system "
        "call; test_no_input_is_delivered_after_a_close"
    ),
    "internet.test.test_tls.AbortSSLConnectionTests.test_fullWriteBuffer": BEFORE_TLS,
    "internet.test.test_tls.AbortSSLConnectionTests.test_resumeProducingAbort": BEFORE_TLS,
    "internet.test.test_tls.AbortSSLConnectionTests.test_resumeProducingThrows": BEFORE_TLS,
    "test.test_ssl.ConnectionLostTests.testFailedVerify": BEFORE_TLS,
    "test.test_ssl.*TLSTests.test_backwardsTLS": "a server of tcpd's is never a TLS client",
    "internet.test.test_newtls.ProducerTestsMixin.test_startTLSAfterRegister*": INSIDE,
    "internet.test.test_unix.UNIXTestsBuilder.test_*escriptor*": DESCRIPTORS,
    "internet.test.test_unix.UNIXTestsBuilder.test_listenFailure": INSIDE,
    "internet.test.test_unix.UNIXTestsBuilder.test_listenOnLinuxAbstractNamespace": (
        "the ini file has no abstract names"
    ),
    "internet.test.test_unix.UNIXTestsBuilder.test_mode": (
        "a closed port deletes its file at once, and the test reads it after that; "
        "test_unix_socket_has_its_mode_and_replaces_a_stale_one"
    ),
    "internet.test.test_unix.RealSocketTests.test_closePortInProtocolFactory": INSIDE,
    "test.test_unix.UnixSocketTests.test_pidFile": (
        "no lock file: a connect shows whether a socket is stale"
    ),
    "test.test_tcp.ListeningTests.test_restart*": ONCE,
    "test.test_tcp.LoopbackTests.test_tcp*": OPTIONS,
    "internet.test.test_socket.Adopt*.test_invalidAddressFamily": (
        "expects an error for a wrong family; tcpd takes the family from the socket"
    ),
}

#: Reasons for which Twisted itself skips tests, where a system lacks a feature.
OWN_REASONS = ("IPv6", "link-local", "Windows", "wsproto")

#: Modules, and the minimum number of tests that pass.
MODULES = (
    *(f"twisted.internet.test.test_{name}" for name in ("tcp", "tls", "unix", "socket", "newtls")),
    "twisted.internet.test.test_endpoints",
    *(f"twisted.test.test_{name}" for name in ("tcp", "ssl", "unix", "internet")),
    *(f"twisted.test.test_{name}" for name in ("amp", "ftp", "policies", "protocols")),
    "twisted.spread.test.test_pb",
    "twisted.web.test.test_xmlrpc",
    "twisted.mail.test.test_smtp",
    "twisted.words.test.test_service",
)
PASSING = 1_100

SWAPPED = (
    "twisted.internet.test.test_tcp.AbortConnectionTests_ListeningReactorTests",
    "twisted.internet.test.test_tcp.TCPConnectionTestsBuilder_ListeningReactorTests",
    "twisted.internet.test.test_tcp.TCPTransportTestsBuilder_ListeningReactorTests",
    "twisted.internet.test.test_tcp.AdoptStreamConnectionTestsBuilder_ListeningReactorTests",
    "twisted.internet.test.test_tls.AbortSSLConnectionTests_ListeningReactorTests",
    "twisted.internet.test.test_unix.UNIXAdoptStreamConnectionTestsBuilder_ListeningReactorTests",
)
SWAPPED_TABLE = {
    "internet.test.test_*.test_writeSequenceWithUnicodeRaisesException": WORDS,
    "internet.test.test_*.test_?erverAddress*": NAMED,
    "internet.test.test_*.test_streamingProducer": "sets the size of a Twisted buffer",
    "internet.test.test_tls.AbortSSLConnectionTests.test_fullWriteBuffer": BEFORE_TLS,
}
SWAPPED_PASSING = 30


def run_twisteds(
    where: Path, names: tuple[str, ...], table: dict[str, str], swapped: bool, passing: int
) -> None:
    """Run Twisted's tests in a child process: all pass, and only those in the table are skipped."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps([swapped, table, names])],
        cwd=where,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["failed"] == [], output
    assert report["good"], output
    assert report["unused"] == [], "the table names tests that do not exist"
    of_its_own = {
        name: reason
        for name, reason in report["skipped"].items()
        if not reason.startswith("table: ") and not any(word in reason for word in OWN_REASONS)
    }
    assert of_its_own == {}
    assert report["passed"] >= passing


def test_twisted_tests_pass_with_tcpd_servers(tmp_path: Path) -> None:
    run_twisteds(tmp_path, MODULES, TABLE, swapped=False, passing=PASSING)


def test_twisted_tests_pass_with_tcpd_as_the_tested_side(tmp_path: Path) -> None:
    run_twisteds(tmp_path, SWAPPED, SWAPPED_TABLE, swapped=True, passing=SWAPPED_PASSING)
