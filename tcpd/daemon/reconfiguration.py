"""One atomic change of the running services from their settings to others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.interfaces import IProtocolFactory

from tcpd.config.diff import Difference, ServiceChange
from tcpd.config.listen import Listener
from tcpd.daemon.components import Components
from tcpd.daemon.context import Context
from tcpd.daemon.descriptors import provide_descriptors
from tcpd.daemon.problems import SettingProblems
from tcpd.daemon.running_services import RunningServices
from tcpd.daemon.service_builder import ServiceBuilder
from tcpd.daemon.unused_sockets import warn_of_unused_sockets
from tcpd.interfaces import IReconfigurable, IRereading
from tcpd.net.listeners import ListenError
from tcpd.net.service import ListeningService, OpenPort, Server


class _Plan:
    """The changes of the ports of one service.

    :ivar unit: the service after the change.
    :ivar kept: ports that stay open, each with its new listener and server.
    :ivar missing: listeners without a port.
    :ivar opened: ports that were opened for them.
    :ivar closed: ports that were closed first, because an address was widened or narrowed.
    """

    def __init__(self, unit: ListeningService, wanted: list[tuple[Listener, Server]]) -> None:
        self.unit = unit
        self.kept: list[tuple[OpenPort, Listener, Server]] = []
        self.missing = wanted
        self.opened: list[OpenPort] = []
        self.closed: list[OpenPort] = []

    def take(self, ports: list[OpenPort]) -> None:
        """Keep those of the open ports that this service listens on."""
        missing = []
        for listener, server in self.missing:
            found = next((port for port in ports if port.serves(listener)), None)
            if found is None:
                missing.append((listener, server))
            else:
                ports.remove(found)
                self.kept.append((found, listener, server))
        self.missing = missing

    def open(self, spare: list[OpenPort]) -> None:
        """Open the ports that are missing.

        :param spare: ports that are not used any more, and will be closed.
        :raise ListenError: if one cannot be opened.
        """
        for listener, server in self.missing:
            try:
                self.opened.append(self.unit.open(listener, server))
                continue
            except ListenError as error:
                in_the_way = [port for port in spare if port.overlaps(listener)]
                # other errors would occur again, and also when the ports are restored
                if not in_the_way or not error.in_use:
                    raise
            for port in in_the_way:
                spare.remove(port)
                self.closed.append(port)
                port.drain_and_close()
            self.opened.append(self.unit.open(listener, server))

    def undo(self) -> None:
        """Close the ports that were opened."""
        while self.opened:
            self.opened.pop().close()

    def commit(self) -> None:
        """Apply the changes. This cannot fail."""
        for port, listener, server in self.kept:
            port.switch_to(listener, server)
        self.unit.ports = [*(port for port, _, _ in self.kept), *self.opened]
        self.unit.wanted = ()  # they are open


class Reconfiguration:
    """Changes the services from the settings in force to others. Made for one change, run once.

    Operations that can fail come first and change nothing that is in use. Then all changes happen
    in one reactor turn.

    :param components: components with limits to update.
    :param services: the services to change.
    :param builder: builds new services.
    :param difference: the difference from the settings in force to the new ones.
    :param own_keys: keys of sections whose changes the daemon's own services report.
    """

    def __init__(
        self,
        components: Components,
        services: RunningServices,
        builder: ServiceBuilder,
        difference: Difference,
        own_keys: frozenset[tuple[str, str]],
    ) -> None:
        self.components = components
        self.services = services
        self.builder = builder
        self.difference = difference
        self.own_keys = own_keys
        self.settings = difference.settings
        self.replaced = {
            change.name: change.replaced
            for change in difference.changed
            if change.replaced or (self._affects(change) and not self._reconfigurable(change.name))
        }
        self.reread: list[str] = []
        self.contexts: dict[str, Context] = {}
        self.changed: dict[str, Context] = {}  # new contexts of services that continue
        self.fresh: dict[str, ListeningService] = {}
        self.plans: list[_Plan] = []
        self.spare: list[OpenPort] = []
        self.before = {
            name: [str(each) for each in unit.listening] for name, unit in services.units.items()
        }

    def run(self) -> list[str]:
        """Make the change.

        :return: what was done, a line each.
        :raise ConfigError: if something in the settings cannot be used.
        :raise ListenError: if a port cannot be opened. In both cases nothing has changed.
        """
        store = self.components.certificates
        problems = SettingProblems(self.settings)
        certificates = store.read(self.settings, problems)
        factories = self._factories(problems)
        problems.check()
        known = dict(store.in_use)
        # preparing listeners requires the new names; the names in use change at the end
        store.use({name: made for name, made in certificates.items() if name not in known})
        try:
            self._prepare(factories)
        except ListenError as error:
            store.in_use = known
            raise self._undo(error) from error
        swapped = [name for name in certificates if name in known]
        others = {name: not known[name].same_certificates(certificates[name]) for name in swapped}
        changed = store.use(certificates)
        renewed = [
            f"tls {name}: {'certificate' if others[name] else 'settings'} swapped"
            for name in swapped
            if name in changed
        ]
        return renewed + self._commit()

    def _undo(self, error: ListenError) -> ListenError:
        """Restore the ports.

        :param error: the error of the change.
        :return: that error, with the ports that could not be restored.
        """
        for plan in self.plans:
            plan.undo()
        lost = []
        for plan in self.plans:
            for port in plan.closed:
                try:
                    port.port = plan.unit.open(port.listener, port.server).port
                except ListenError as another:  # another process has its address now
                    lost.append(str(another))
                    self._drop_port(port)
        return ListenError("; and ".join([str(error), *lost])) if lost else error

    def _drop_port(self, port: OpenPort) -> None:
        """Remove a lost port from the settings in force, so that the next reload opens it."""
        services = dict(self.services.settings.services)
        for name, unit in self.services.units.items():
            if port in unit.ports:
                unit.ports.remove(port)
                listen = tuple(each.listener for each in unit.ports)
                services[name] = replace(services[name], listen=listen)
        self.services.settings = replace(self.services.settings, services=services)

    @staticmethod
    def _affects(change: ServiceChange) -> bool:
        """Whether a change concerns the factory."""
        return bool(change.options or change.sections)

    def _reconfigurable(self, name: str) -> bool:
        return IReconfigurable.providedBy(self.services.units[name].layer.factory)

    def _factories(self, problems: SettingProblems) -> dict[str, IProtocolFactory | None]:
        """Make the new factories, some of them only to check new options."""
        made = {}
        changed = [change.name for change in self.difference.changed if self._affects(change)]
        for name in dict.fromkeys([*self.difference.added, *self.replaced, *changed]):
            new = name in self.difference.added or name in self.replaced
            context = self.services.contexts.get(name)
            if new or context is None:
                # counters survive the restart of a service
                counters = context.counters if context else None
                context = self.builder.context(name, self.settings, counters)
                self.contexts[name] = context
            else:  # the factory in use keeps its context, whose sections change later
                sections = self.builder.sections(name, self.settings)
                context = self.changed[name] = replace(context, sections=sections)
            made[name] = self.builder.factory(self.settings.services[name], context, problems)
        self.reread = [
            name
            for name in self.services.units
            if name not in made and self._reads_otherwise(name, problems)
        ]
        return made

    def _reads_otherwise(self, name: str, problems: SettingProblems) -> bool:
        """Whether files have changed that a service's unchanged options name."""
        factory: Any = self.services.units[name].layer.factory
        service = self.settings.services.get(name)
        if service is None or not IRereading.providedBy(factory):
            return False
        made: Any = self.builder.factory(service, self.services.contexts[name], problems)
        return made is not None and made.read != factory.read

    def _prepare(self, factories: dict[str, IProtocolFactory | None]) -> None:
        units = self.services.units
        for name in self.difference.removed:
            self.spare += units[name].ports
        for name in [*self.difference.added, *self.replaced]:
            factory = factories[name]
            assert factory is not None
            service = self.settings.services[name]
            unit = self.builder.unit(service, self.settings, self.contexts[name], factory)
            self.fresh[name] = unit
            own = list(units[name].ports) if name in units else []
            self._plan(unit, list(unit.wanted), own)
        for change in self.difference.changed:
            if change.name in self.replaced:
                continue
            if change.listen or self._affects(change):
                unit = units[change.name]
                service = self.settings.services[change.name]
                context = self.changed.get(change.name, self.services.contexts[change.name])
                wanted = self.builder.servers(service, context, unit.layer)
                self._plan(unit, wanted, list(unit.ports))
        for plan in self.plans:
            plan.take(self.spare)
        for plan in self.plans:
            plan.open(self.spare)

    def _plan(
        self, unit: ListeningService, wanted: list[tuple[Listener, Server]], own: list[OpenPort]
    ) -> None:
        plan = _Plan(unit, wanted)
        plan.take(own)
        self.spare += own
        self.plans.append(plan)

    def _commit(self) -> list[str]:
        services = self.services
        report: list[str] = []
        gone = {name: services.units[name] for name in [*self.difference.removed, *self.replaced]}
        for unit in gone.values():
            unit.ports = []  # unused ports are spare, and closed below
        for plan in self.plans:
            plan.commit()
        for port in self.spare:
            port.close()
        services.settings = self.settings
        services.contexts.update(self.contexts)
        for name in gone:
            services.retire(name)
            if name in self.difference.removed:
                del services.contexts[name]
                report.append(f"service {name}: removed")
        for name, unit in self.fresh.items():
            services.add(name, unit)
            why = self._why_replaced(name)
            report.append(f"service {name}: {f'{why} changed: restarted' if why else 'added'}")
        for change in self.difference.changed:
            if change.name not in self.replaced:
                report += self._swap(change, self.before[change.name])
        for name in self.reread:
            factory: Any = services.units[name].layer.factory
            factory.reconfigure(self.settings.services[name].options)
            report.append(f"service {name}: files reread")
        report += self._sections()
        # in the order of the ini files, in which they are shown
        services.units = {name: services.units[name] for name in self.settings.services}
        return report

    def _why_replaced(self, name: str) -> str:
        for change in self.difference.changed:
            if change.name == name:
                return change.replaced or ", ".join([*change.options, *change.sections])
        return ""

    def _swap(self, change: ServiceChange, before: list[str]) -> list[str]:
        unit = self.services.units[change.name]
        service = self.settings.services[change.name]
        prefix = f"service {change.name}:"
        report = []
        if self._affects(change):
            factory: Any = unit.layer.factory
            self.services.contexts[change.name].sections = self.builder.sections(
                change.name, self.settings
            )
            factory.reconfigure(service.options)
        if change.options:
            report.append(f"{prefix} {', '.join(change.options)} swapped")
        if change.policy:
            policy = self.settings.policies[service.policy]
            unit.layer.reconfigure(policy, self.builder.idle(service, self.settings))
            report.append(f"{prefix} policy swapped")
        if change.listen:
            now = [str(each) for each in unit.listening]
            report += [
                f"{prefix} stopped listening on {each}" for each in before if each not in now
            ]
            report += [f"{prefix} listening on {each}" for each in now if each not in before]
        return report

    def _sections(self) -> list[str]:
        report = []
        for title, keys in self.difference.sections.items():
            swapped = [key for key in keys if (title, key) not in self.own_keys]
            if swapped:
                report.append(f"{title}: {', '.join(swapped)} swapped")
        if "tcpd" in self.difference.sections:
            self.components.connection_count.limit = self.settings.tcpd.connections
            for name, unit in self.services.units.items():
                unit.drain = self.builder.drain(name, self.settings)
        if "chat" in self.difference.sections:
            self.components.chat.reconfigure(self.settings.sections["chat"])
        provide_descriptors(self.settings, self.components.kinds)
        warn_of_unused_sockets(self.components.systemd, self.services)
        report += [f"{title}: {key} needs a restart" for title, key in self.difference.restart]
        return report
