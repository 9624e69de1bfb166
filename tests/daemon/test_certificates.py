"""Reloading, checks and warnings of certificates while the daemon runs."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import certificates
import pytest
from daemon.harness import KINDS, DaemonHarness, DaemonReactor, figures, settings
from twisted.logger import LogEvent, globalLogPublisher

from tcpd.config.files import Unreadable
from tcpd.config.settings import Settings
from tcpd.daemon.certificates import INTERVAL, RETRY, ROTATION
from tcpd.daemon.compose import make_daemon
from tcpd.net import tls_files

DAY = 86400.0

TEXT = """
[tls:main]
certificate = localhost.pem
key = localhost-key.pem
[service:echo]
protocol = echo
listen = 127.0.0.1:1 tls=main
"""


class CertificateHarness(DaemonHarness):
    """A daemon with a certificate, not started, and a test's clock."""

    def __init__(self, directory: Path, text: str = TEXT, days: float = 90) -> None:
        self.made = certificates.make(directory, "localhost", days=days)
        self.now = self.made.certificate.not_valid_after_utc.timestamp() - days * DAY
        super().__init__(text, directory, start=False, wall_clock=lambda: self.now)

    def start(self) -> None:
        self.daemon.privilegedStartService()
        self.daemon.startService()

    def look(self, times: int = 1) -> None:
        self.reactor.pump([INTERVAL] * times)
        self.now += INTERVAL * times

    @property
    def shown(self) -> Any:
        return self.daemon.components.certificates.in_use["main"].pairs[0].chain[0]

    @property
    def context(self) -> Any:
        loaded = self.daemon.components.certificates.in_use["main"]
        return loaded.serverConnectionForTLS(None).get_context()

    def reconfigure(self, to: Settings) -> list[str]:
        return self.daemon.configuration.reconfigure(to)

    def counted(self) -> dict[str, int]:
        return dict(self.daemon.components.counters.certificates)


@pytest.fixture
def events() -> Iterator[list[LogEvent]]:
    seen: list[LogEvent] = []

    def observe(event: LogEvent) -> None:
        if str(event.get("event_id", "")).startswith("tls."):
            seen.append(event)

    globalLogPublisher.addObserver(observe)
    yield seen
    globalLogPublisher.removeObserver(observe)


def ids(events: list[LogEvent]) -> list[str]:
    return [event["event_id"] for event in events]


def test_new_certificate_is_loaded_once_its_files_are_stable(
    tmp_path: Path, events: list[LogEvent]
) -> None:
    harness = CertificateHarness(tmp_path)
    harness.start()
    new = certificates.make(tmp_path, "localhost")
    harness.look()
    assert harness.shown == harness.made.certificate, "the file may be incomplete"
    harness.look()
    assert harness.shown == new.certificate
    assert ids(events) == ["tls.renewed"]
    harness.look(10)
    assert ids(events) == ["tls.renewed"]
    assert harness.counted() == {"ok": 1}


def test_changed_symbolic_link_is_detected(tmp_path: Path) -> None:
    """As in certbot's live/, with links into archive/."""
    for number in ("1", "2"):
        (tmp_path / number).mkdir()
        certificates.make(tmp_path / number, "localhost")
    harness = CertificateHarness(tmp_path)
    for name in ("localhost.pem", "localhost-key.pem"):
        (tmp_path / name).unlink()
        (tmp_path / name).symlink_to(tmp_path / "1" / name)
    harness.start()
    harness.look(2)
    before = harness.shown
    for name in ("localhost.pem", "localhost-key.pem"):
        (tmp_path / "new").symlink_to(tmp_path / "2" / name)
        os.replace(tmp_path / "new", tmp_path / name)
    harness.look(2)
    assert harness.shown != before


def test_certificate_without_its_new_key_is_not_logged(
    tmp_path: Path, events: list[LogEvent]
) -> None:
    harness = CertificateHarness(tmp_path)
    harness.start()
    (tmp_path / "new").mkdir()
    new = certificates.make(tmp_path / "new", "localhost")
    os.replace(new.certificate_file, tmp_path / "localhost.pem")
    harness.look()
    os.replace(new.key_file, tmp_path / "localhost-key.pem")
    harness.look(2)
    assert harness.shown == new.certificate
    assert ids(events) == ["tls.renewed"]


@pytest.mark.parametrize("broken", ["half", "other", "gone", "text"])
def test_invalid_files_keep_the_old_and_are_logged_once(
    tmp_path: Path, events: list[LogEvent], broken: str, logged_failures: Any
) -> None:
    harness = CertificateHarness(tmp_path)
    harness.start()
    file = tmp_path / "localhost.pem"
    whole = file.read_bytes()
    if broken == "half":
        file.write_bytes(whole[: len(whole) // 2])
    elif broken == "other":
        file.write_bytes(certificates.make(tmp_path, "other").certificate_file.read_bytes())
    elif broken == "gone":
        file.unlink()
    else:
        file.write_text("hello\n")
    harness.look(20)
    assert harness.shown == harness.made.certificate
    assert ids(events) == ["tls.stale"], "once for each change"
    assert harness.counted() == {"refused": 1}
    assert str(file) in harness.daemon.certificates.stale["main"]
    logged_failures.expect("cannot be used")
    file.write_text("hello again, and longer\n")
    harness.look(2)
    assert ids(events) == ["tls.stale"] * 2, "this is another change"
    logged_failures.expect("cannot be used")
    file.write_bytes(whole)
    harness.look(2)
    assert harness.daemon.certificates.stale == {}
    assert ids(events) == ["tls.stale"] * 2, "the old content is back, which is in use"
    assert harness.counted() == {"refused": 2}


def test_failed_load_is_retried_with_unchanged_files(
    tmp_path: Path, events: list[LogEvent], logged_failures: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cause need not be in the files."""
    harness = CertificateHarness(tmp_path)
    harness.start()
    new = certificates.make(tmp_path, "localhost")
    with monkeypatch.context() as patch:
        patch.setattr(tls_files, "read_file", full)
        harness.look(5)
    assert ids(events) == ["tls.stale"]
    logged_failures.expect("cannot be used")
    harness.look(int(RETRY / INTERVAL))
    assert harness.shown == new.certificate


def full(path: str) -> Any:
    """read_file() without free descriptors."""
    raise Unreadable(os.strerror(errno.EMFILE))


def test_rewritten_files_with_equal_content_are_no_change(
    tmp_path: Path, events: list[LogEvent]
) -> None:
    """A new context has new ticket keys, so clients could not resume sessions."""
    harness = CertificateHarness(tmp_path)
    harness.start()
    context = harness.context
    for name in ("localhost.pem", "localhost-key.pem"):
        (tmp_path / "copy").write_bytes((tmp_path / name).read_bytes())
        (tmp_path / "copy").chmod(0o600)
        os.replace(tmp_path / "copy", tmp_path / name)
    harness.look(3)
    assert harness.context is context
    assert events == []
    assert harness.reconfigure(settings(TEXT, tmp_path)) == []
    assert harness.context is context


def test_session_ticket_keys_are_rotated_daily(tmp_path: Path) -> None:
    """RFC 9325 section 7.4: "rotate session ticket keys"."""
    harness = CertificateHarness(tmp_path)
    harness.start()
    context = harness.context
    harness.look(int(ROTATION / INTERVAL) - 1)
    assert harness.context is context
    harness.look()
    assert harness.context is not context


def test_expiry_is_logged_daily_in_the_last_days(tmp_path: Path, events: list[LogEvent]) -> None:
    harness = CertificateHarness(tmp_path, days=14.5)
    harness.start()
    assert events == []
    for _ in range(4):
        harness.now += DAY / 2
        harness.reactor.advance(DAY / 2)
    assert ids(events) == ["tls.expiring"] * 2
    assert [event["days"] for event in events] == [13, 12]
    harness.reconfigure(settings(TEXT, tmp_path))
    assert ids(events) == ["tls.expiring"] * 3, "at a reload too"


def test_expired_certificate_is_logged_as_an_error(
    tmp_path: Path, events: list[LogEvent], logged_failures: Any
) -> None:
    harness = CertificateHarness(tmp_path, days=-1)
    harness.now += 2 * DAY
    harness.start()
    assert ids(events) == ["tls.expired"]
    logged_failures.expect("expired on")
    [line] = harness.daemon.remarks()
    assert line.startswith("warning: [tls:main]")
    assert line.endswith(", expired")


@pytest.mark.parametrize(
    ("mode", "logged"), [(0o600, False), (0o640, False), (0o644, True), (0o602, True)]
)
def test_key_readable_by_others_is_logged(
    tmp_path: Path, events: list[LogEvent], mode: int, logged: bool
) -> None:
    certificates.make(tmp_path, "localhost").key_file.chmod(mode)
    text = TEXT.replace("localhost", "other")
    certificates.make(tmp_path, "other").key_file.chmod(mode)
    harness = CertificateHarness(tmp_path, text)
    harness.start()
    assert ids(events) == ["tls.key-exposed"] * logged
    warned = [line for line in harness.daemon.remarks() if "private key" in line]
    assert len(warned) == logged
    assert all(f"mode {mode:04o}" in line for line in warned)


def test_check_warns_of_the_expiry(tmp_path: Path) -> None:
    harness = CertificateHarness(tmp_path, days=30.5)
    harness.made.key_file.chmod(0o600)
    [line] = make_daemon(
        settings(TEXT, tmp_path), KINDS, DaemonReactor(), lambda: harness.now
    ).remarks()
    until = harness.made.certificate.not_valid_after_utc.strftime("%Y-%m-%d")
    assert line == (
        f"[tls:main] {tmp_path}/localhost.pem (ECDSA: localhost) until {until}, 30 days left"
    )


def test_metrics_have_the_expiry(tmp_path: Path) -> None:
    harness = CertificateHarness(tmp_path)
    [each] = figures(harness.daemon).certificates
    assert (each.tls, each.file) == ("main", f"{tmp_path}/localhost.pem")
    assert each.expires == harness.made.certificate.not_valid_after_utc.timestamp()
    harness.daemon.configuration.reconfigure(
        settings("[service:echo]\nprotocol = echo\nlisten = *:2\n", tmp_path)
    )
    assert figures(harness.daemon).certificates == [], "what is removed is not exposed"


def test_stopped_daemon_stops_checking(tmp_path: Path) -> None:
    harness = CertificateHarness(tmp_path)
    harness.start()
    harness.daemon.stopService()
    certificates.make(tmp_path, "localhost")
    harness.look(3)
    assert harness.shown == harness.made.certificate


def test_reload_reports_changed_certificates(tmp_path: Path) -> None:
    harness = CertificateHarness(tmp_path)
    harness.start()
    stricter = TEXT.replace("[tls:main]", "[tls:main]\nminimum = 1.3")
    assert harness.reconfigure(settings(stricter, tmp_path)) == ["tls main: settings swapped"]
    certificates.make(tmp_path, "localhost")
    assert harness.reconfigure(settings(stricter, tmp_path)) == ["tls main: certificate swapped"]
