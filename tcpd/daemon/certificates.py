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

#: Seconds between two looks at the files: a new one is in use after two looks, ten seconds at most.
INTERVAL = 5.0

#: Seconds after which files that could not be used, and have not changed since, are tried again:
#: what was in the way need not show in them. To check a large RSA key takes a quarter of a second.
RETRY = 60.0

#: Seconds for which tickets are made with the same keys. A client that comes back later than that
#: pays for one whole handshake; whoever steals the keys from memory can read no older sessions of
#: TLS 1.2 with them (RFC 9325 section 7.4 asks for a change now and then, and names a week).
ROTATION = 86400.0

#: Days before the end of a certificate from which on it is told of: half of what ACME clients leave
#: themselves for a certificate of 90 days.
WARN_DAYS = 14.0

_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Shown:
    """A certificate that clients are shown, for operators.

    :ivar tls: NAME of its ``[tls:NAME]``.
    :ivar pair: it.
    """

    tls: str
    pair: Pair

    def days(self, now: float) -> float:
        """How many days it is still valid; negative if it was.

        :param now: seconds since 1970 UTC.
        """
        return (self.pair.expires - now) / _DAY

    @property
    def until(self) -> str:
        """The day it is valid until, in UTC."""
        return datetime.fromtimestamp(self.pair.expires, UTC).strftime("%Y-%m-%d")

    def line(self, now: float) -> str:
        """For people: which one, for whom, and for how long."""
        pair = self.pair
        days = self.days(now)
        names = ", ".join(pair.names[:4]) or "no DNS names"
        more = f" and {len(pair.names) - 4} more" if len(pair.names) > 4 else ""
        left = "expired" if days < 0 else f"{int(days)} days left"
        return f"{pair.file} ({pair.key_type}: {names}{more}) until {self.until}, {left}"


def shown(certificates: Mapping[str, Certificates]) -> list[Shown]:
    """All certificates of all names, in order."""
    return [Shown(name, pair) for name, each in certificates.items() for pair in each.pairs]


def remarks(certificates: Mapping[str, Certificates], now: float) -> Iterator[str]:
    """What a check of the configuration has to say of certificates that can be used.

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
    :param reactor: its clock is used.
    :param wall_clock: seconds since 1970, UTC.
    :param outcomes: counts changed files by ``ok`` and ``refused``.

    :ivar stale: by name, what is wrong with new files that cannot be used.
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
        #: By name, the state of files that have changed and may not be complete yet.
        self._seen: dict[str, Mapping[str, Stamp]] = {}
        #: By name, the state of files that could not be used, why, and when they were last tried.
        self._failed: dict[str, tuple[Mapping[str, Stamp], str, float]] = {}
        self._told: dict[tuple[object, ...], float] = {}
        self._rotated = self._reactor.seconds()
        self.stale: dict[str, str] = {}

    def start(self) -> None:
        """Begin to look. Called when the daemon starts."""
        self._rotated = self._reactor.seconds()
        self._call.start(INTERVAL)

    def stop(self) -> None:
        """Look no more. Does nothing where it was never started."""
        if self._call.running:
            self._call.stop()

    def _look_again(self) -> None:
        try:
            self.look()
        except Exception:  # a LoopingCall that fails is over
            self._log.failure("certificates cannot be looked at")

    @property
    def certificates(self) -> dict[str, Certificates]:
        """Those in force, by name."""
        return {name: self._store.in_use[name] for name in self._names()}

    def reloaded(self) -> None:
        """A reload has read all files: what was told before is told again. Called by the daemon."""
        self._seen.clear()
        self._failed.clear()
        self.stale.clear()
        self._told.clear()
        if self._call.running:
            self._tell()

    def look(self) -> None:
        """See whether anything has changed, or is about to end. Called every :data:`INTERVAL`."""
        for name, certificates in self.certificates.items():
            now = {path: stamp_of(path) for path in certificates.stamps}
            if now == certificates.stamps:
                self._seen.pop(name, None)
                self._failed.pop(name, None)
                self.stale.pop(name, None)
            elif self._seen.get(name) != now:
                self._seen[name] = now  # somebody may still be writing
            else:
                self._read(name, certificates, now)
        seconds = self._reactor.seconds()
        if seconds - self._rotated >= ROTATION:
            self._rotated = seconds
            for certificates in self.certificates.values():
                certificates.rotate()
        self._tell()

    def _read(self, name: str, certificates: Certificates, now: Mapping[str, Stamp]) -> None:
        """Files have changed, and stood still since the last look."""
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

    def _tell(self) -> None:
        """Tell of what is about to end, and of keys that are open to others, once a day."""
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
        told = self._told.get(what)
        if told is not None and seconds - told < _DAY:
            return False
        self._told = {
            key: at for key, at in self._told.items() if seconds - at < _DAY
        }  # nothing of certificates that are no more
        self._told[what] = seconds
        return True
