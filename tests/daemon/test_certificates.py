"""What looks after certificates while the daemon runs."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import certificates
import pytest
from daemon.house import KINDS, Reactor, figures, settings
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


class House:
    """A daemon with a certificate, on a clock."""

    def __init__(self, directory: Path, text: str = TEXT, days: float = 90) -> None:
        self.directory = directory
        self.made = certificates.make(directory, "localhost", days=days)
        self.now = self.made.certificate.not_valid_after_utc.timestamp() - days * DAY
        self.reactor = Reactor()
        self.daemon = make_daemon(settings(text, directory), KINDS, self.reactor, lambda: self.now)

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


def test_a_new_certificate_is_in_use_once_its_files_stand_still(
    tmp_path: Path, events: list[LogEvent]
) -> None:
    house = House(tmp_path)
    house.start()
    new = certificates.make(tmp_path, "localhost")
    house.look()
    assert house.shown == house.made.certificate, "somebody may still be writing"
    house.look()
    assert house.shown == new.certificate
    assert ids(events) == ["tls.renewed"]
    house.look(10)
    assert ids(events) == ["tls.renewed"]
    assert house.counted() == {"ok": 1}


def test_a_symbolic_link_that_leads_elsewhere_is_a_change(tmp_path: Path) -> None:
    """As certbot's live/ has them, which lead into archive/."""
    for number in ("1", "2"):
        (tmp_path / number).mkdir()
        certificates.make(tmp_path / number, "localhost")
    house = House(tmp_path)
    for name in ("localhost.pem", "localhost-key.pem"):
        (tmp_path / name).unlink()
        (tmp_path / name).symlink_to(tmp_path / "1" / name)
    house.start()
    house.look(2)
    before = house.shown
    for name in ("localhost.pem", "localhost-key.pem"):
        (tmp_path / "new").symlink_to(tmp_path / "2" / name)
        os.replace(tmp_path / "new", tmp_path / name)
    house.look(2)
    assert house.shown != before


def test_a_certificate_whose_key_is_still_to_come_is_not_told_of(
    tmp_path: Path, events: list[LogEvent]
) -> None:
    house = House(tmp_path)
    house.start()
    (tmp_path / "new").mkdir()
    new = certificates.make(tmp_path / "new", "localhost")
    os.replace(new.certificate_file, tmp_path / "localhost.pem")
    house.look()
    os.replace(new.key_file, tmp_path / "localhost-key.pem")
    house.look(2)
    assert house.shown == new.certificate
    assert ids(events) == ["tls.renewed"]


@pytest.mark.parametrize("broken", ["half", "other", "gone", "text"])
def test_what_cannot_be_used_leaves_the_old_in_use_and_is_told_once(
    tmp_path: Path, events: list[LogEvent], broken: str, logged_failures: Any
) -> None:
    house = House(tmp_path)
    house.start()
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
    house.look(20)
    assert house.shown == house.made.certificate
    assert ids(events) == ["tls.stale"], "once for each change"
    assert house.counted() == {"refused": 1}
    assert str(file) in house.daemon.certificates.stale["main"]
    logged_failures.expect("cannot be used")
    file.write_text("hello again, and longer\n")
    house.look(2)
    assert ids(events) == ["tls.stale"] * 2, "this is another change"
    logged_failures.expect("cannot be used")
    file.write_bytes(whole)
    house.look(2)
    assert house.daemon.certificates.stale == {}
    assert ids(events) == ["tls.stale"] * 2, "the old content is back, which is in use"
    assert house.counted() == {"refused": 2}


def test_what_is_in_the_way_is_tried_again_though_the_files_stay(
    tmp_path: Path, events: list[LogEvent], logged_failures: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in the way need not show in the files."""
    house = House(tmp_path)
    house.start()
    new = certificates.make(tmp_path, "localhost")
    with monkeypatch.context() as patch:
        patch.setattr(tls_files, "read_file", full)
        house.look(5)
    assert ids(events) == ["tls.stale"]
    logged_failures.expect("cannot be used")
    house.look(int(RETRY / INTERVAL))
    assert house.shown == new.certificate


def full(path: str) -> Any:
    """As read_file() is where the limit on open files has been reached."""
    raise Unreadable(os.strerror(errno.EMFILE))


def test_the_same_content_in_new_files_changes_nothing(
    tmp_path: Path, events: list[LogEvent]
) -> None:
    """The keys of tickets would change with the context, and clients could not resume."""
    house = House(tmp_path)
    house.start()
    context = house.context
    for name in ("localhost.pem", "localhost-key.pem"):
        (tmp_path / "copy").write_bytes((tmp_path / name).read_bytes())
        (tmp_path / "copy").chmod(0o600)
        os.replace(tmp_path / "copy", tmp_path / name)
    house.look(3)
    assert house.context is context
    assert events == []
    assert house.reconfigure(settings(TEXT, tmp_path)) == []
    assert house.context is context


def test_the_keys_of_tickets_are_changed_every_day(tmp_path: Path) -> None:
    """RFC 9325 section 7.4: "rotate session ticket keys"."""
    house = House(tmp_path)
    house.start()
    context = house.context
    house.look(int(ROTATION / INTERVAL) - 1)
    assert house.context is context
    house.look()
    assert house.context is not context


def test_the_last_days_are_told_of_once_a_day(tmp_path: Path, events: list[LogEvent]) -> None:
    house = House(tmp_path, days=14.5)
    house.start()
    assert events == []
    for _ in range(4):
        house.now += DAY / 2
        house.reactor.advance(DAY / 2)
    assert ids(events) == ["tls.expiring"] * 2
    assert [event["days"] for event in events] == [13, 12]
    house.reconfigure(settings(TEXT, tmp_path))
    assert ids(events) == ["tls.expiring"] * 3, "at a reload too"


def test_a_certificate_that_has_expired_is_louder(
    tmp_path: Path, events: list[LogEvent], logged_failures: Any
) -> None:
    house = House(tmp_path, days=-1)
    house.now += 2 * DAY
    house.start()
    assert ids(events) == ["tls.expired"]
    logged_failures.expect("expired on")
    [line] = house.daemon.remarks()
    assert line.startswith("warning: [tls:main]")
    assert line.endswith(", expired")


@pytest.mark.parametrize(
    ("mode", "told"), [(0o600, False), (0o640, False), (0o644, True), (0o602, True)]
)
def test_a_key_that_everybody_can_read(
    tmp_path: Path, events: list[LogEvent], mode: int, told: bool
) -> None:
    certificates.make(tmp_path, "localhost").key_file.chmod(mode)
    text = TEXT.replace("localhost", "other")
    certificates.make(tmp_path, "other").key_file.chmod(mode)
    house = House(tmp_path, text)
    house.start()
    assert ids(events) == ["tls.key-exposed"] * told
    warned = [line for line in house.daemon.remarks() if "private key" in line]
    assert len(warned) == told
    assert all(f"mode {mode:04o}" in line for line in warned)


def test_a_check_tells_how_many_days_are_left(tmp_path: Path) -> None:
    house = House(tmp_path, days=30.5)
    house.made.key_file.chmod(0o600)
    [line] = make_daemon(settings(TEXT, tmp_path), KINDS, Reactor(), lambda: house.now).remarks()
    until = house.made.certificate.not_valid_after_utc.strftime("%Y-%m-%d")
    assert line == (
        f"[tls:main] {tmp_path}/localhost.pem (ECDSA: localhost) until {until}, 30 days left"
    )


def test_metrics_tell_until_when(tmp_path: Path) -> None:
    house = House(tmp_path)
    [each] = figures(house.daemon).certificates
    assert (each.tls, each.file) == ("main", f"{tmp_path}/localhost.pem")
    assert each.expires == house.made.certificate.not_valid_after_utc.timestamp()
    house.daemon.configuration.reconfigure(
        settings("[service:echo]\nprotocol = echo\nlisten = *:2\n", tmp_path)
    )
    assert figures(house.daemon).certificates == [], "what is not in force any more is not told of"


def test_a_stopped_daemon_looks_no_more(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.start()
    house.daemon.stopService()
    certificates.make(tmp_path, "localhost")
    house.look(3)
    assert house.shown == house.made.certificate


def test_a_reload_says_whether_it_was_the_certificate(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.start()
    stricter = TEXT.replace("[tls:main]", "[tls:main]\nminimum = 1.3")
    assert house.reconfigure(settings(stricter, tmp_path)) == ["tls main: settings swapped"]
    certificates.make(tmp_path, "localhost")
    assert house.reconfigure(settings(stricter, tmp_path)) == ["tls main: certificate swapped"]
