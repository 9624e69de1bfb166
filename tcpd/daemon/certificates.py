"""Certificates while the daemon runs: new files, new ticket keys, warnings before they expire.

ACME clients replace files at any time, in several steps (the certificate before its key, one
symbolic link after another). So files that have changed are read once they have stayed the same for
a moment. Files that cannot be used then leave the old certificates in use, and are logged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from tcpd.config.errors import SettingError
from tcpd.daemon.certificate_store import CertificateStore
from tcpd.net.tls import Certificates
from tcpd.net.tls_files import Pair, Stamp, stamp_of
from tcpd.ops import catalogue

#: Seconds between two checks of the files: a new file is in use after two checks, in 10 seconds.
INTERVAL = 5.0

#: Seconds until unusable files that have not changed are tried again: the cause may be elsewhere.
#: Checking a large RSA key takes a quarter of a second.
RETRY = 60.0

#: Seconds between two changes of the ticket keys. A client that returns later makes a full
#: handshake. Stolen keys decrypt no older sessions of TLS 1.2 (RFC 9325 section 7.4 recommends
#: regular changes, such as weekly).
ROTATION = 86400.0

#: Days before a certificate expires when warnings begin: half of the time that ACME clients leave
#: themselves for a certificate of 90 days.
WARN_DAYS = 14.0

_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Shown:
    """A certificate in use, as operators see it.

    :ivar tls: NAME of its ``[tls:NAME]``.
    :ivar pair: the certificate with its key.
    """

    tls: str
    pair: Pair

    def days(self, now: float) -> float:
        """Days until it expires; negative if it has expired.

        :param now: seconds since 1970 UTC.
        """
        return (self.pair.expires - now) / _DAY

    @property
    def until(self) -> str:
        """The day of its expiry, in UTC."""
        return datetime.fromtimestamp(self.pair.expires, UTC).strftime("%Y-%m-%d")

    def line(self, now: float) -> str:
        """A line for people: its file, key type, names, and expiry."""
        pair = self.pair
        days = self.days(now)
        names = ", ".join(pair.names[:4]) or "no DNS names"
        more = f" and {len(pair.names) - 4} more" if len(pair.names) > 4 else ""
        left = "expired" if days < 0 else f"{int(days)} days left"
        return f"{pair.file} ({pair.key_type}: {names}{more}) until {self.until}, {left}"


def shown(certificates: Mapping[str, Certificates]) -> list[Shown]:
    """All certificates, in the order of their sections."""
    return [Shown(name, pair) for name, each in certificates.items() for pair in each.pairs]


def remarks(certificates: Mapping[str, Certificates], now: float) -> Iterator[str]:
    """The remarks of a check on valid certificates.

    :param now: seconds since 1970 UTC.
    """
    for each in shown(certificates):
        days = each.days(now)
        level = "" if days >= WARN_DAYS else "warning: "
        yield f"{level}[tls:{each.tls}] {each.line(now)}"
    for name, loaded in certificates.items():
        for exposed in loaded.exposed:
            yield f"warning: [tls:{name}] {exposed}"


class CertificateWatch:
    """Reads certificates again when their files have changed, and warns before they expire.

    :param store: the certificates in use.
    :param names: returns which ``[tls:NAME]`` are in force; the store may have others of an earlier
        configuration, for connections that drain.
    :param reactor: provides the clock.
    :param wall_clock: seconds since 1970, UTC.
    :param outcomes: counts changed files by ``ok`` and ``refused``.

    :ivar stale: the errors of new files that cannot be used, by name.
    """

    _log = Logger()

    def __init__(
        self,
        store: CertificateStore,
        names: Callable[[], Mapping[str, object]],
        reactor: Any,
        wall_clock: Callable[[], float],
        outcomes: Counter[str],
    ) -> None:
        self._store = store
        self._names = names
        self._reactor = reactor
        self._wall_clock = wall_clock
        self._outcomes = outcomes
        self._call = LoopingCall(self._look_again)
        self._call.clock = reactor
        #: The state of files that have changed and may be incomplete, by name.
        self._seen: dict[str, Mapping[str, Stamp]] = {}
        #: By name, the state of files that could not be used, why, and when they were last tried.
        self._failed: dict[str, tuple[Mapping[str, Stamp], str, float]] = {}
        self._warned: dict[tuple[object, ...], float] = {}
        self._rotated = self._reactor.seconds()
        self.stale: dict[str, str] = {}

    def start(self) -> None:
        """Start checking. Called when the daemon starts."""
        self._rotated = self._reactor.seconds()
        self._call.start(INTERVAL)

    def stop(self) -> None:
        """Stop checking. No effect if it was not started."""
        if self._call.running:
            self._call.stop()

    def _look_again(self) -> None:
        try:
            self.look()
        except Exception:  # a LoopingCall stops when its function raises
            self._log.failure("certificates cannot be checked")

    @property
    def certificates(self) -> dict[str, Certificates]:
        """The certificates in force, by name."""
        return {name: self._store.in_use[name] for name in self._names()}

    def reloaded(self) -> None:
        """Repeat all warnings: a reload has read all files. Called after the reload."""
        self._seen.clear()
        self._failed.clear()
        self.stale.clear()
        self._warned.clear()
        if self._call.running:
            self._warn()

    def look(self) -> None:
        """Check for changed files and expiry. Called every :data:`INTERVAL`."""
        for name, certificates in self.certificates.items():
            now = {path: stamp_of(path) for path in certificates.stamps}
            if now == certificates.stamps:
                self._seen.pop(name, None)
                self._failed.pop(name, None)
                self.stale.pop(name, None)
            elif self._seen.get(name) != now:
                self._seen[name] = now  # the file may be incomplete
            else:
                self._read(name, certificates, now)
        seconds = self._reactor.seconds()
        if seconds - self._rotated >= ROTATION:
            self._rotated = seconds
            for certificates in self.certificates.values():
                certificates.rotate()
        self._warn()

    def _read(self, name: str, certificates: Certificates, now: Mapping[str, Stamp]) -> None:
        """Read files that have changed, and have stayed the same since the last check."""
        seconds = self._reactor.seconds()
        state, why, tried = self._failed.get(name, (None, "", 0.0))
        if state == now and seconds - tried < RETRY:
            return
        try:
            new = Certificates(certificates.settings, self._store.credentials)
        except SettingError as error:
            self._failed[name] = (now, str(error), seconds)
            self.stale[name] = str(error)
            if (state, why) != (now, str(error)):
                self._outcomes["refused"] += 1
                catalogue.TLS_STALE.emit(self._log, tls=name, error=str(error))
            return
        self._seen.pop(name, None)
        self._failed.pop(name, None)
        self.stale.pop(name, None)
        if certificates.adopt(new):
            self._outcomes["ok"] += 1
            clock = self._wall_clock()
            lines = [Shown(name, pair).line(clock) for pair in certificates.pairs]
            catalogue.TLS_RENEWED.emit(self._log, tls=name, certificates="; ".join(lines))

    def _warn(self) -> None:
        """Log certificates that expire and keys that other users can read, once a day."""
        now = self._wall_clock()
        seconds = self._reactor.seconds()
        for each in shown(self.certificates):
            days = each.days(now)
            if days >= WARN_DAYS:
                continue
            file, until = each.pair.file, each.until
            if not self._due((days < 0, each.tls, each.pair.fingerprint), seconds):
                continue
            if days < 0:
                catalogue.TLS_EXPIRED.emit(self._log, tls=each.tls, certificate=file, until=until)
            else:
                catalogue.TLS_EXPIRING.emit(
                    self._log, tls=each.tls, certificate=file, until=until, days=int(days)
                )
        for name, certificates in self.certificates.items():
            for exposed in certificates.exposed:
                if self._due((exposed, name), seconds):
                    catalogue.TLS_KEY_EXPOSED.emit(
                        self._log, tls=name, file=exposed.file, mode=exposed.mode
                    )

    def _due(self, what: tuple[object, ...], seconds: float) -> bool:
        warned = self._warned.get(what)
        if warned is not None and seconds - warned < _DAY:
            return False
        self._warned = {
            key: at for key, at in self._warned.items() if seconds - at < _DAY
        }  # drops removed certificates
        self._warned[what] = seconds
        return True
