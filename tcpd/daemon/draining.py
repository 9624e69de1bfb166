"""Services that an operator has taken out for a while, and how they come back.

A service that is drained is one that the settings in force do not have: it is taken out of them,
its ports close, and its connections are told and have ``drain`` seconds to end. It stays out
through reloads, since those come from elsewhere too (a renewed certificate, a deployment) and must
not undo what an operator does just now; a restart brings it back, as does a resume.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tcpd.config.settings import ServiceSettings, Settings

if TYPE_CHECKING:
    from tcpd.daemon.daemon import Daemon


class Drained:
    """Those services, by name; their counters stay where they are.

    :param daemon: whose settings in force they are taken out of and put into.
    """

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self.services: dict[str, ServiceSettings] = {}

    def drain(self, name: str) -> int:
        """Take a service out. Called by operators.

        :param name: of a service that is in force and not one of the daemon's own.
        :return: how many connections are left to end.
        """
        daemon = self._daemon
        services = dict(daemon.settings.services)
        self.services[name] = services.pop(name)
        daemon.settings = replace(daemon.settings, services=services)
        unit = daemon.units.pop(name)
        left = len(unit.layer.connections)
        daemon.retire(unit)
        return left

    def resume(self, name: str) -> list[str]:
        """Put a service back, as the last reload left it. Called by operators.

        :return: what was done, a line each.
        :raise ConfigError: if what it needs cannot be used by now; it stays drained.
        :raise ListenError: if a port cannot be opened; it stays drained.
        """
        daemon = self._daemon
        services = {**daemon.settings.services, name: self.services[name]}
        report = daemon.take_over(replace(daemon.settings, services=services))
        del self.services[name]
        return report

    def without(self, settings: Settings) -> Settings:
        """Settings that were read anew, less what is drained.

        :param settings: those of a reload.
        """
        services = {
            name: service
            for name, service in settings.services.items()
            if name not in self.services
        }
        return replace(settings, services=services)

    def reloaded(self, settings: Settings) -> list[str]:
        """A reload succeeded: what is drained comes back as it says, or not at all.

        :param settings: those of the reload, what is drained included.
        :return: a line for each that stays drained.
        """
        for name in [name for name in self.services if name not in settings.services]:
            del self.services[name]
            self._daemon.contexts.pop(name, None)
        self.services = {name: settings.services[name] for name in self.services}
        return [f"service {name}: stays drained" for name in self.services]
