"""The daemon: a tree of Services that can take over another configuration while it runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.logger import Logger, globalLogPublisher

from tcpd.config.diff import diff
from tcpd.config.listen import SystemdSocket
from tcpd.config.locations import AUTO
from tcpd.config.settings import Settings
from tcpd.daemon.banfile import ban_file
from tcpd.daemon.certificates import CertificateWatch, remarks
from tcpd.daemon.compose import Complaints, Parts
from tcpd.daemon.context import Context
from tcpd.daemon.control.door import control
from tcpd.daemon.control.running import RELOADER
from tcpd.daemon.descriptors import needed_descriptors, raise_descriptor_limit
from tcpd.daemon.draining import Drained
from tcpd.daemon.internal import Internal, with_internals
from tcpd.daemon.logs import LogFault, Logs
from tcpd.daemon.metrics import metrics
from tcpd.daemon.reconfiguration import Reconfiguration
from tcpd.daemon.supervision import Load, Supervision
from tcpd.daemon.surroundings import Surroundings
from tcpd.net.directory import ServiceEntry
from tcpd.net.layer import ConnectionLayer
from tcpd.net.service import ListeningService
from tcpd.ops import catalogue
from tcpd.ops.follow import Followers
from tcpd.ops.heap import Heap
from tcpd.ops.lag import ReactorLag
from tcpd.ops.levels import Threshold
from tcpd.ops.process import Process
from tcpd.ops.versions import version_of
from tcpd.wire.safe_text import escape_controls


class Daemon(MultiService):
    """All services.

    Making one opens no port, and reads the files that the settings name (certificates, quotes).

    :param settings: checked settings.
    :param kinds: by name, those that the settings use at least.
    :param reactor: opens ports and keeps time; a :class:`twisted.internet.task.Clock` will do to
        find out whether the daemon can be made.
    :param wall_clock: seconds since 1970, UTC.
    :param twistd: the options of twistd, which tell where the log goes; ``None`` leaves the log to
        whoever runs the daemon.
    :param surroundings: what the process was started in; ``None`` leaves out the control socket and
        the state directory.
    :raise ConfigError: for settings that turn out not to be usable, all of it at once.
    """

    _log = Logger()

    def __init__(
        self,
        settings: Settings,
        kinds: Mapping[str, Any],
        reactor: Any,
        wall_clock: Callable[[], float],
        twistd: Mapping[str, Any] | None = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        super().__init__()
        self._surroundings = surroundings
        #: The services that an operator has taken out for a while.
        self.drained = Drained(self)
        self.ban_file = ban_file(settings, surroundings, reactor)
        self._threshold = Threshold(settings.tcpd.log_level)
        tcpd = settings.tcpd
        self._logs = (
            None
            if twistd is None
            else Logs(tcpd.log, tcpd.log_size, self._threshold, twistd, reactor)
        )
        #: Called with why the daemon cannot start; whoever can show it to the operator sets it.
        self.start_failed: Callable[[Exception], None] = lambda error: None
        #: Hands the events of the catalogue on to whoever follows them, while the daemon runs.
        self.events = Followers(escape_controls)
        #: The services of the daemon's own. What they need of it they ask for when they need it.
        self.internals: dict[str, Internal] = {
            each.name: each for each in self._internals(settings)
        }
        self.settings = settings = with_internals(settings, self.internals.values())
        self._retiring: dict[ListeningService, Deferred[Any]] = {}
        self._stopping = False
        self._hurried = False
        self._saving: Deferred[None] | None = None
        #: When it was made, and when it took over the configuration in force: seconds since 1970.
        self.began = self.configured = wall_clock()
        self.process = Process()
        self.lag = ReactorLag(reactor, Heap(reactor, self.process.resident).look)
        environ = surroundings.environ if surroundings else {}
        self._supervision = Supervision(environ, reactor, self._load)
        self.units: dict[str, ListeningService] = {}
        self.contexts: dict[str, Context] = {}
        uid = surroundings.owner if surroundings else None
        gid = surroundings.group if surroundings else None
        self.parts = parts = Parts(
            settings,
            kinds,
            reactor,
            wall_clock,
            self.directory,
            self.reload,
            self.internals,
            uid,
            gid,
        )
        #: Reads certificates again when their files change.
        self.certificates = CertificateWatch(parts, lambda: self.settings.tls)
        complaints = Complaints(settings)
        parts.use_certificates(parts.load_certificates(settings, complaints))
        factories = {}
        for service in settings.services.values():
            context = self.contexts[service.name] = parts.context(service.name)
            factories[service.name] = parts.factory(service, context, complaints)
        complaints.check()
        for name, service in settings.services.items():
            factory = factories[name]
            assert factory is not None
            unit = parts.unit(service, settings, self.contexts[name], factory)
            self.units[name] = unit
            unit.setServiceParent(self)

    def setServiceParent(self, parent: Any) -> None:
        """Become what an application runs, and see to how it logs. Called by twistd.

        :raise LogFault: if the log file cannot be opened.
        """
        super().setServiceParent(parent)
        if self._logs is not None:
            self._logs.install(parent)

    @property
    def log_level(self) -> str:
        """The level below which nothing is logged, by name. It can be set.

        :raise ValueError: for what is not one of :data:`tcpd.ops.levels.LEVELS`.
        """
        return self._threshold.name

    @log_level.setter
    def log_level(self, name: str) -> None:
        if name != self._threshold.name:
            self._threshold.name = name
            catalogue.DAEMON_LOG_LEVEL.emit(self._log, threshold=name)

    @property
    def log_lost(self) -> int:
        """How many lines of the log could not be written."""
        return 0 if self._logs is None else self._logs.lost

    def reopen_log(self) -> str:
        """Have the log file opened anew, after somebody has moved it. Called by operators.

        :return: its path.
        :raise LogFault: if the log does not go to a file, or that cannot be opened.
        """
        if self._logs is None:
            raise LogFault("whoever runs the daemon sees to its log")
        return self._logs.reopen()

    def privilegedStartService(self) -> None:
        """Raise the limit on open files and open all ports.

        :raise ListenError: if one cannot be opened.
        :raise BanFileError: if the bans cannot be read.
        """
        try:
            self._open_all()
        except Exception as error:
            self.start_failed(error)
            raise

    def _open_all(self) -> None:
        self.raise_limit()
        self.tell_unused_sockets()
        self.ban_file.load(self.parts.bans)
        tcpd = self.settings.tcpd
        if self._surroundings and tcpd.control == AUTO and "control" not in self.units:
            why = "this user has no directory for it; name one: [tcpd] control = PATH"
            catalogue.CONTROL_UNAVAILABLE.emit(self._log, error=why)
        super().privilegedStartService()

    def startService(self) -> None:
        """Serve. Root, if the daemon was started so, has been given up by now."""
        globalLogPublisher.addObserver(self.events)
        globalLogPublisher.addObserver(self.parts.memory)
        self.parts.memory.start()
        super().startService()
        self.process.keep()
        self.lag.start()
        self.certificates.start()
        served = self.directory()
        catalogue.DAEMON_STARTED.emit(
            self._log,
            version=version_of("tcpd"),
            services=len(served),
            listeners=sum(len(entry.listeners) for entry in served),
            pid=os.getpid(),
            uid=os.geteuid(),
        )
        self._supervision.ready()

    def directory(self) -> list[ServiceEntry]:
        """What is served now, as clients may know it: the daemon's own services are not in it."""
        return [
            ServiceEntry(
                name,
                service.protocol,
                self.parts.kinds[service.protocol].summary,
                tuple(str(listener) for listener in self.units[name].listening),
            )
            for name, service in self.settings.services.items()
            if name in self.units and name not in self.internals
        ]

    def stopService(self) -> Deferred[Any]:
        """Stop all services, those of the daemon's own behind the others.

        :return: fires when all have ended, those included that a reload took out.
        """
        began = self.parts.reactor.seconds()
        self._stopping = True
        self.certificates.stop()
        Service.stopService(self)  # MultiService would stop all children at once
        own = {unit for name, unit in self.units.items() if name in self.internals}
        # those that serve nobody come first: a second SIGTERM is waited for when the stop is told
        others = [child for child in self.services if not isinstance(child, ListeningService)]
        ended = [maybeDeferred(child.stopService) for child in others]
        catalogue.DAEMON_STOPPING.emit(
            self._log, connections=self._open(), drain=self.settings.tcpd.drain
        )
        drain = self.settings.tcpd.drain
        self._supervision.stopping(drain)
        self._saving = self.ban_file.written(drain)
        ended.append(self._saving)
        # else each farewell would be told to all the others in the room
        self.parts.hub.close()
        ended += [
            maybeDeferred(child.stopService)
            for child in reversed(self.services)
            if child not in own and child not in others
        ]
        stopped: Deferred[Any] = DeferredList(
            [*ended, *self._retiring.values()], consumeErrors=True
        )
        if self._hurried:
            self._cut_all()

        def stop_own(result: object) -> Deferred[Any]:
            last = [maybeDeferred(unit.stopService) for unit in own]
            if self._hurried:
                self._cut_all()
            return DeferredList(last, consumeErrors=True)

        def tell(result: object) -> object:
            seconds = round(self.parts.reactor.seconds() - began, 3)
            catalogue.DAEMON_STOPPED.emit(self._log, seconds=seconds)
            self.process.close()
            self.lag.stop()
            self._supervision.stop()
            globalLogPublisher.removeObserver(self.events)
            globalLogPublisher.removeObserver(self.parts.memory)
            self.parts.memory.stop()
            return result

        return stopped.addBoth(stop_own).addBoth(tell)

    def remarks(self) -> list[str]:
        """What a check has to say of settings that nothing is wrong with, a line each."""
        return list(remarks(self.certificates.certificates, self.parts.wall_clock()))

    @property
    def unready(self) -> str:
        """Why new clients are not served just now; ``""`` if they are."""
        if self._stopping:
            return "stopping: connections are being drained"
        return "" if self.running else "starting: not all listeners are open"

    def by_name(self) -> dict[str, ListeningService]:
        """All services, those included that a reload took out and that still drain."""
        return {unit.layer.service: unit for unit in self._retiring} | self.units

    def layers(self) -> list[ConnectionLayer]:
        """All connections there are, service by service, those that drain included."""
        return [unit.layer for unit in [*self.units.values(), *self._retiring]]

    def known_services(self) -> list[str]:
        """Names of all services: those in force, those that drain, and those that are drained."""
        return list(dict.fromkeys([*self.units, *self.by_name(), *self.drained.services]))

    def policy_of(self, name: str) -> str | None:
        """NAME of the ``[policy:NAME]`` of a service; ``None`` for the daemon's own."""
        service = self.settings.services.get(name) or self.drained.services.get(name)
        return service.policy if service and name not in self.internals else None

    def _open(self) -> int:
        """How many connections there are."""
        return sum(len(unit.layer.connections) for unit in [*self.units.values(), *self._retiring])

    def _load(self) -> Load:
        """What the service manager is told: the daemon's own services are not in it."""
        counters = [
            context.counters
            for name, context in self.contexts.items()
            if name not in self.internals
        ]
        return Load(
            services=len(self.directory()),
            connections=self.parts.tally.count,
            accepted=sum(each.accepted for each in counters),
            refused=sum(each.refused.total() for each in counters),
        )

    def cut(self) -> None:
        """End all connections and programs at once; a stop then waits for nothing any more."""
        self._hurried = True
        catalogue.DAEMON_CUT.emit(self._log, connections=self._open())
        self._cut_all()

    def _cut_all(self) -> None:
        if self._saving is not None:
            self._saving.cancel()
        for unit in [*self.units.values(), *self._retiring]:
            unit.cut()

    def kill_programs(self) -> None:
        """Kill what services have beside connections. Called when nothing is waited for."""
        for unit in [*self.units.values(), *self._retiring]:
            unit.hurry()

    def retire(self, unit: ListeningService) -> None:
        """Take a service out of the tree: it says farewell to its connections, and drains."""
        ended: Deferred[Any] = maybeDeferred(unit.disownServiceParent)
        self._retiring[unit] = ended

        def forget(_: object) -> None:
            del self._retiring[unit]

        ended.addBoth(forget)

    def reconfigure(self, new: Settings) -> list[str]:
        """Take over another configuration, all of it or nothing.

        What can fail is prepared first: files are read, factories made, ports opened. Then all is
        changed in one go, which cannot fail. Certificates are reread each time.

        :return: what was done, a line each, for the log and for whoever asked.
        :raise ConfigError: if something in it cannot be used; nothing has changed then.
        :raise ListenError: if a port cannot be opened; nothing has changed then.
        """
        whole = with_internals(new, self.internals.values())
        report = self.take_over(self.drained.without(whole))
        self.configured = self.parts.wall_clock()
        self.certificates.reloaded()
        return report + self.drained.reloaded(whole)

    def reload(self, told: Callable[[bool, Sequence[str]], None]) -> None:
        """Read the configuration again, in another turn: for a service, which it may change.

        :param told: called then, with whether it was taken over, and what was done, or where
            something is wrong: what is wrong there may quote a value, and values may be secrets.
        """
        reloader: Any = self.getServiceNamed(RELOADER)

        def reload() -> None:
            outcome = reloader.reload()
            told(outcome.ok, outcome.lines if outcome.ok else outcome.places)

        self.parts.reactor.callLater(0, reload)

    def take_over(self, whole: Settings) -> list[str]:
        """:meth:`reconfigure`, to settings that have the daemon's own services in them."""
        return Reconfiguration(self, diff(self.settings, whole)).run()

    def _internals(self, settings: Settings) -> list[Internal]:
        """Describe the services of the daemon's own, in the order they are to be opened."""
        own = [metrics(self)]
        if self._surroundings is not None:
            own.append(control(self, settings.tcpd, self._surroundings))
        return own

    def raise_limit(self) -> None:
        """See to it that there may be as many open files as connections were promised."""
        warning = raise_descriptor_limit(needed_descriptors(self.settings, self.parts.kinds))
        if warning:
            catalogue.DAEMON_DESCRIPTORS.emit(self._log, warning=warning)

    def tell_unused_sockets(self) -> None:
        """Warn of sockets that systemd opened and that nobody takes clients from.

        A service that an operator has drained is to come back, and counts as one that does.
        """
        used = {
            listener.place.name
            for service in (*self.settings.services.values(), *self.drained.services.values())
            for listener in service.listen
            if isinstance(listener.place, SystemdSocket)
        }
        for name in sorted(self.parts.systemd.keys() - used):
            catalogue.DAEMON_SOCKET_UNUSED.emit(self._log, name=name)
