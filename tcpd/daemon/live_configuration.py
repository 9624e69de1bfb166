"""The configuration in force, and its replacement."""

from __future__ import annotations

from collections.abc import Iterable

from tcpd.config.diff import diff
from tcpd.config.settings import Settings
from tcpd.daemon.certificates import CertificateWatch
from tcpd.daemon.components import Components
from tcpd.daemon.draining import Draining
from tcpd.daemon.internal import Internal, with_internals
from tcpd.daemon.log_control import LogControl
from tcpd.daemon.problems import SettingProblems
from tcpd.daemon.reconfiguration import Reconfiguration
from tcpd.daemon.running_services import RunningServices
from tcpd.daemon.service_builder import ServiceBuilder
from tcpd.daemon.status import DaemonStatus


class LiveConfiguration:
    """Builds the first services, and changes them when the configuration changes.

    :param components: components with limits to update.
    :param services: the running services.
    :param builder: builds more.
    :param internals: the daemon's own services.
    :param certificates: watches the files of certificates.
    :param log: sets the level of the log.
    :param status: keeps the time of the last change.

    :ivar internals: the daemon's own services.
    :ivar draining: drains services and resumes them.
    """

    def __init__(
        self,
        components: Components,
        services: RunningServices,
        builder: ServiceBuilder,
        internals: Iterable[Internal],
        certificates: CertificateWatch,
        log: LogControl,
        status: DaemonStatus,
    ) -> None:
        self._components = components
        self._services = services
        self._builder = builder
        self.internals = tuple(internals)
        self._certificates = certificates
        self._log = log
        self._status = status
        self.draining = Draining(services, self.take_over)

    def build_services(self) -> None:
        """Build the services of the settings at the start. Files are read; no port is opened.

        :raise ConfigError: with all settings that cannot be used.
        """
        running, builder = self._services, self._builder
        settings = running.settings
        problems = SettingProblems(settings)
        store = self._components.certificates
        store.use(store.read(settings, problems))
        factories = {}
        for name, service in settings.services.items():
            context = running.contexts[name] = builder.context(name, settings)
            factories[name] = builder.factory(service, context, problems)
        problems.check()
        for name, service in settings.services.items():
            factory = factories[name]
            assert factory is not None
            unit = builder.unit(service, settings, running.contexts[name], factory)
            running.add(name, unit)

    def reconfigure(self, new: Settings) -> list[str]:
        """Apply another configuration atomically.

        Operations that can fail come first: files are read, factories made, ports opened. Then all
        changes happen in one turn of the reactor and cannot fail. Certificates are read again each
        time.

        :return: what was done, a line each.
        :raise ConfigError: if something in it cannot be used; nothing has changed then.
        :raise ListenError: if a port cannot be opened; nothing has changed then.
        """
        whole = with_internals(new, self.internals)
        report = self.take_over(self.draining.without_drained(whole))
        self._status.configured = self._components.wall_clock()
        self._certificates.reloaded()
        return report + self.draining.reloaded(whole)

    def take_over(self, whole: Settings) -> list[str]:
        """:meth:`reconfigure`, to settings that include the daemon's own services."""
        change = Reconfiguration(
            self._components,
            self._services,
            self._builder,
            diff(self._services.settings, whole),
            self._own_keys(),
        )
        report = change.run()
        if "log_level" in change.difference.sections.get("tcpd", ()):
            self._log.level = whole.tcpd.log_level
        return report

    def _own_keys(self) -> frozenset[tuple[str, str]]:
        return frozenset((each.section, key) for each in self.internals for key in each.keys)
