"""Stores bans in a JSON file in the state directory, so that they survive a restart."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import (
    Deferred,
    DeferredLock,
    maybeDeferred,
    succeed,
)
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from tcpd.config.locations import own_directories, state_directory
from tcpd.config.settings import Settings
from tcpd.daemon.startup_environment import StartupEnvironment
from tcpd.net.private_socket import make_directory, make_private_directory
from tcpd.ops import catalogue
from tcpd.policy.bans import Ban, Bans

_NAME = "bans.json"
_VERSION = 1


class BanFileError(Exception):
    """The file exists and cannot be used; the text is a sentence for the operator."""


def ban_file(settings: Settings, environment: StartupEnvironment | None, reactor: Any) -> BanFile:
    """The ban file of a daemon; without a state directory it stores nothing."""
    if environment is None:
        return BanFile("", reactor)
    environ, uid = environment.environ, environment.uid
    directory = state_directory(settings.tcpd.state, environ, uid)
    own = directory in own_directories(environ, uid) and not settings.tcpd.state
    return BanFile(directory, reactor, environment.owner, own)


class BanFile:
    """Reads the bans at the start, and writes them when one is added or removed.

    A new file is written next to the old one and replaces it after fsync(2), so the
    file is complete at all times. A thread waits for the disk.

    :param directory: the state directory; ``""`` for none.
    :param reactor: provides threads if it provides :class:`IReactorThreads`.
    :param owner: the user id that owns a new directory; ``None`` for the process's own.
    :param own: whether the directory is the default one in the user's home: it is created, parents
        included, when the first ban is written.
    """

    _log = Logger()

    def __init__(
        self, directory: str, reactor: Any, owner: int | None = None, own: bool = False
    ) -> None:
        self._directory = directory
        self._path = os.path.join(directory, _NAME) if directory else ""
        self._reactor = reactor
        self._owner = owner
        self._own = own
        self._lock = DeferredLock()

    @property
    def keeps(self) -> bool:
        """Whether bans survive a restart."""
        return bool(self._path)

    def load(self, bans: Bans) -> None:
        """Read the bans. Called once, before any port opens.

        :raise BanFileError: if the file cannot be read; an error must not admit banned clients.
        """
        if not self._path:
            return
        try:
            if not self._own:
                make_directory(self._directory, 0o700, self._owner)
            with open(self._path, encoding="utf-8") as file:
                plain = json.load(file)
            if not isinstance(plain, dict) or plain.get("version") != _VERSION:
                raise ValueError(f"it is not of version {_VERSION}")
            bans.adopt(Ban.from_plain(each) for each in plain["bans"])
        except FileNotFoundError:
            return
        except OSError as error:
            raise BanFileError(
                f"the bans in {self._path} cannot be read: {error.strerror or error}"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise BanFileError(
                f"the bans in {self._path} cannot be read: {error}; repair or remove the file "
                "to start without bans"
            ) from error
        bans.forget_expired()

    def written(self, seconds: float) -> Deferred[None]:
        """Wait until the file is written. Called when the daemon stops.

        :param seconds: the longest time to wait.
        :return: fires with ``None``, also when it is cancelled; never fails.
        """
        if not self._lock.locked:
            return succeed(None)
        done: Deferred[None] = self._lock.run(lambda: None)
        done.addTimeout(seconds, self._reactor)
        return done.addErrback(lambda _: None)

    async def save(self, bans: Bans) -> str:
        """Write all bans in force.

        :return: why they will not survive a restart; ``""`` if they will.
        """
        if not self._path:
            return "there is no [tcpd] state"
        await self._lock.acquire()
        try:
            # the bans in force when the lock is acquired, so the last write is complete
            held = tuple(bans)
            if IReactorThreads.providedBy(self._reactor):
                pool = self._reactor.getThreadPool()
                await deferToThreadPool(self._reactor, pool, self._write, held)
            else:
                await maybeDeferred(self._write, held)
        except OSError as error:
            why = error.strerror or str(error)
            catalogue.BANS_NOT_SAVED.emit(self._log, file=self._path, error=why)
            return f"{self._path}: {why}"
        finally:
            self._lock.release()
        return ""

    def _write(self, bans: Sequence[Ban]) -> None:
        if self._own:
            make_private_directory(self._directory, self._owner)
        text = json.dumps({"version": _VERSION, "bans": [ban.plain() for ban in bans]}, indent=1)
        beside = f"{self._path}.new"
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, 0o600)
            file.write(text + "\n")
            file.flush()
            os.fsync(descriptor)
        os.replace(beside, self._path)
