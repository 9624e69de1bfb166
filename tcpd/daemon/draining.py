"""Services that an operator drains and resumes.

A service that is drained is absent from the settings in force: its ports close, and its
connections have ``drain`` seconds to end. It stays drained through reloads, which have other causes
(a renewed certificate, a deployment) and must not undo the operator's
command. A restart or RESUME brings it back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tcpd.config.settings import Settings
from tcpd.daemon.running_services import RunningServices


class Draining:
    """Drains services and resumes them. Their counters are kept meanwhile.

    :param services: the settings in force are changed there.
    :param take_over: changes to other settings, all of them or none, and returns a report.
    """

    def __init__(
        self, services: RunningServices, take_over: Callable[[Settings], list[str]]
    ) -> None:
        self._services = services
        self._take_over = take_over

    def drain(self, name: str) -> int:
        """Take a service out of force. Called by operators.

        :param name: the name of a service in force, but not of an internal one.
        :return: the number of connections that are left.
        """
        running = self._services
        services = dict(running.settings.services)
        running.drained[name] = services.pop(name)
        running.settings = replace(running.settings, services=services)
        left = len(running.units[name].layer.connections)
        running.retire(name)
        return left

    def resume(self, name: str) -> list[str]:
        """Bring a service back, with the settings of the last reload. Called by operators.

        :return: what was done, a line each.
        :raise ConfigError: if its settings cannot be used any more; it stays drained.
        :raise ListenError: if a port cannot be opened; it stays drained.
        """
        running = self._services
        services = {**running.settings.services, name: running.drained[name]}
        report = self._take_over(replace(running.settings, services=services))
        del running.drained[name]
        return report

    def without_drained(self, settings: Settings) -> Settings:
        """The settings of a reload without the drained services."""
        services = {
            name: service
            for name, service in settings.services.items()
            if name not in self._services.drained
        }
        return replace(settings, services=services)

    def reloaded(self, settings: Settings) -> list[str]:
        """Keep the new settings of drained services, and forget those that are gone.

        Called after a reload has succeeded.

        :param settings: the settings of the reload, drained services included.
        :return: a line for each service that stays drained.
        """
        running = self._services
        for name in [name for name in running.drained if name not in settings.services]:
            del running.drained[name]
            running.contexts.pop(name, None)
        running.drained = {name: settings.services[name] for name in running.drained}
        return [f"service {name}: stays drained" for name in running.drained]
