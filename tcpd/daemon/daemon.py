"""The daemon as a tree of Services: the order in which they start and stop."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.logger import Logger, globalLogPublisher

from tcpd.config.locations import AUTO
from tcpd.daemon.banfile import BanFile
from tcpd.daemon.certificates import CertificateWatch, remarks
from tcpd.daemon.components import Components
from tcpd.daemon.descriptors import provide_descriptors
from tcpd.daemon.live_configuration import LiveConfiguration
from tcpd.daemon.log_control import LogControl
from tcpd.daemon.reload import Reloader
from tcpd.daemon.running_services import RunningServices
from tcpd.daemon.startup_environment import StartupEnvironment
from tcpd.daemon.status import DaemonStatus, Phase
from tcpd.daemon.supervision import Load, Supervision
from tcpd.daemon.unused_sockets import warn_of_unused_sockets
from tcpd.ops import catalogue
from tcpd.ops.follow import Followers
from tcpd.ops.versions import version_of


class Daemon(MultiService):
    """All Services of the process. Built by :func:`tcpd.daemon.compose.make_daemon`.

    They start in the order of the tree: the shared services, the services with connections, and
    those that serve no clients (reload, signals, the pidfile). They stop in this order:

    1. those that serve no clients;
    2. the services with connections, in parallel, except the daemon's own (control, metrics);
    3. the shared services, one after another, the last one first;
    4. the daemon's own services, so that operators can watch the others stop.

    :param components: the components that exist for the lifetime of the daemon.
    :param services: the services with connections.
    :param shared_services: the services that frontends use. ``stopService`` of one returns a
        Deferred that fires when all is written. A second signal does not cut it short:
        docs/decisions/0002.
    :param before_stop: called when a stop begins, before any service stops.
    :param configuration: changes the services.
    :param reloader: reloads on SIGHUP; ``None`` for a daemon that is never reloaded.
    :param certificates: watches the files of certificates.
    :param ban_file: read before any port opens.
    :param log: installed in twistd's application.
    :param followers: get the events of the catalogue.
    :param status: the status, whose phase the daemon sets.
    :param environment: ``None`` for a daemon without control socket and service manager.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        components: Components,
        services: RunningServices,
        shared_services: Sequence[IService],
        before_stop: Callable[[], None],
        configuration: LiveConfiguration,
        reloader: Reloader | None,
        certificates: CertificateWatch,
        ban_file: BanFile,
        log: LogControl,
        followers: Followers,
        status: DaemonStatus,
        environment: StartupEnvironment | None,
    ) -> None:
        super().__init__()
        self.components = components
        self.running_services = services
        self.configuration = configuration
        self.certificates = certificates
        self.ban_file = ban_file
        self.log = log
        self.followers = followers
        self.status = status
        #: Called with the error if the daemon cannot start. By default it is not shown.
        self.start_failed: Callable[[Exception], None] = lambda error: None
        self._shared_services = tuple(shared_services)
        self._before_stop = before_stop
        self._has_environment = environment is not None
        self._hurried = False
        self._saving: Deferred[None] | None = None
        self._supervision = Supervision(
            environment.environ if environment else {}, components.reactor, self._load
        )
        for service in self._shared_services:
            service.setServiceParent(self)
        services.setServiceParent(self)
        if reloader is not None:
            reloader.setServiceParent(self)

    def setServiceParent(self, parent: Any) -> None:
        """Attach to an application, and install the log in it. Called by twistd.

        :raise LogFault: if the log file cannot be opened.
        """
        super().setServiceParent(parent)
        self.log.install(parent)

    # --- start ---

    def privilegedStartService(self) -> None:
        """Raise the limit of open files and open all ports.

        :raise ListenError: if a port cannot be opened.
        :raise BanFileError: if the bans cannot be read.
        """
        try:
            self._open_all()
        except Exception as error:
            self.start_failed(error)
            raise

    def _open_all(self) -> None:
        running = self.running_services
        provide_descriptors(running.settings, self.components.kinds)
        warn_of_unused_sockets(self.components.systemd, running)
        self.ban_file.load(self.components.bans)
        automatic = running.settings.tcpd.control == AUTO
        if self._has_environment and automatic and "control" not in running.units:
            why = "this user has no directory for it; name one: [tcpd] control = PATH"
            catalogue.CONTROL_UNAVAILABLE.emit(self._log, error=why)
        for package in ("tcpd", "twisted"):
            version_of(package)  # cached, as the daemon's user may not be able to read it
        super().privilegedStartService()

    def startService(self) -> None:
        """Start serving. Root privileges have been dropped."""
        globalLogPublisher.addObserver(self.followers)
        globalLogPublisher.addObserver(self.components.memory)
        self.components.memory.start()
        super().startService()
        self.status.phase = Phase.SERVING
        self.status.start()
        self.certificates.start()
        served = self.running_services.directory()
        catalogue.DAEMON_STARTED.emit(
            self._log,
            version=version_of("tcpd"),
            services=len(served),
            listeners=sum(len(entry.listeners) for entry in served),
            pid=os.getpid(),
            uid=os.geteuid(),
        )
        self._supervision.ready()

    # --- stop ---

    def stopService(self) -> Deferred[Any]:
        """Stop all services, in the order that the class describes.

        :return: fires when all have ended, including those that a reload has retired.
        """
        seconds = self.components.reactor.seconds
        began = seconds()
        running = self.running_services
        drain = running.settings.tcpd.drain
        self.status.phase = Phase.STOPPING
        self.certificates.stop()
        Service.stopService(self)  # MultiService would stop all children at once
        # first: a second SIGTERM is expected once the stop is logged
        ended = [maybeDeferred(child.stopService) for child in self._without_clients()]
        catalogue.DAEMON_STOPPING.emit(
            self._log, connections=running.connection_count(), drain=drain
        )
        self._supervision.stopping(drain)
        self._saving = self.ban_file.written(drain)
        ended.append(self._saving)
        self._before_stop()
        ended.append(maybeDeferred(running.stopService))
        stopped: Deferred[Any] = DeferredList(ended, consumeErrors=True)
        if self._hurried:
            self._cut_all()

        def stop_own(result: object) -> Deferred[Any]:
            own = running.stop_own()
            if self._hurried:
                self._cut_all()
            return own

        def finish(result: object) -> object:
            catalogue.DAEMON_STOPPED.emit(self._log, seconds=round(seconds() - began, 3))
            self.status.stop()
            self._supervision.stop()
            globalLogPublisher.removeObserver(self.followers)
            globalLogPublisher.removeObserver(self.components.memory)
            self.components.memory.stop()
            return result

        for service in reversed(self._shared_services):
            stopped.addBoth(self._stop_shared, service)
        return stopped.addBoth(stop_own).addBoth(finish)

    def _without_clients(self) -> list[IService]:
        with_clients = (*self._shared_services, self.running_services)
        return [child for child in self.services if child not in with_clients]

    def _stop_shared(self, result: object, service: IService) -> Deferred[Any]:
        stopped: Deferred[Any] = maybeDeferred(service.stopService)
        return stopped.addErrback(
            lambda failure: self._log.failure("a service has failed to stop", failure)
        )

    def cut(self) -> None:
        """Abort all connections and kill all programs; a stop does not wait for them any more."""
        self._hurried = True
        catalogue.DAEMON_CUT.emit(self._log, connections=self.running_services.connection_count())
        self._cut_all()

    def _cut_all(self) -> None:
        if self._saving is not None:
            self._saving.cancel()
        self.running_services.cut()

    # --- reports ---

    def remarks(self) -> list[str]:
        """The remarks of a check on valid settings, a line each."""
        return list(remarks(self.certificates.certificates, self.components.wall_clock()))

    def _load(self) -> Load:
        """The load for the service manager, without the internal services."""
        running = self.running_services
        return Load(
            services=len(running.directory()),
            connections=self.components.connection_count.count,
            accepted=running.accepted(),
            refused=running.refused(),
        )
