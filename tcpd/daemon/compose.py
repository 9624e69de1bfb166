"""Composition: settings to the daemon. This module alone knows all the components."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

from twisted.application.service import IService
from twisted.internet.task import Clock

from tcpd.chat.settings import ChatSettings
from tcpd.config.errors import ConfigError
from tcpd.config.settings import Settings
from tcpd.daemon.banfile import ban_file
from tcpd.daemon.certificates import CertificateWatch
from tcpd.daemon.components import Components
from tcpd.daemon.context import Context
from tcpd.daemon.control.bans import BanCommands
from tcpd.daemon.control.connections import ConnectionCommands
from tcpd.daemon.control.events import event_commands
from tcpd.daemon.control.operations import OperationCommands
from tcpd.daemon.control.server import control, operator_commands
from tcpd.daemon.control.status import StatusCommands
from tcpd.daemon.daemon import Daemon
from tcpd.daemon.directories import check_directories
from tcpd.daemon.internal import with_internals
from tcpd.daemon.live_configuration import LiveConfiguration
from tcpd.daemon.log_control import LogControl
from tcpd.daemon.logs import Logs
from tcpd.daemon.metrics import MetricsSettings, metrics
from tcpd.daemon.metrics_sources import MetricsSources
from tcpd.daemon.problems import SettingProblems
from tcpd.daemon.reload import Reloader
from tcpd.daemon.running_services import RunningServices
from tcpd.daemon.service_builder import ServiceBuilder
from tcpd.daemon.startup_environment import StartupEnvironment
from tcpd.daemon.status import DaemonStatus
from tcpd.line.command import CommandTable
from tcpd.ops.follow import Followers
from tcpd.ops.levels import Threshold
from tcpd.wire.safe_text import escape_controls

#: Sections of the ini file other than those of services, policies and TLS.
SECTIONS: Mapping[str, type] = {"chat": ChatSettings, "metrics": MetricsSettings}


def make_daemon(
    settings: Settings,
    kinds: Mapping[str, Any],
    reactor: Any,
    wall_clock: Callable[[], float],
    *,
    read: Callable[[], Settings] | None = None,
    twistd: Mapping[str, Any] | None = None,
    environment: StartupEnvironment | None = None,
    shared_services: Sequence[IService] = (),
) -> Daemon:
    """Build the daemon. No port is opened; the files that the settings name are read.

    :param settings: checked settings.
    :param kinds: the kinds of services by name, at least those that the settings use.
    :param reactor: opens ports and provides the clock; a :class:`twisted.internet.task.Clock` is
        enough to find out whether the daemon can be built.
    :param wall_clock: seconds since 1970, UTC.
    :param read: reads the configuration again; ``None`` for a daemon that is never reloaded.
    :param twistd: the options of twistd, which say where the log goes; ``None`` where another
        program sets that.
    :param environment: ``None`` leaves out the control socket and the state directory.
    :param shared_services: services that the frontends use. They start before the frontends, in
        this order and after chat, and stop after them, in the reverse order.
    :raise ConfigError: with all settings that cannot be used.
    """
    tcpd = settings.tcpd
    threshold = Threshold(tcpd.log_level)
    log = LogControl(
        threshold,
        None if twistd is None else Logs(tcpd.log, tcpd.log_size, threshold, twistd, reactor),
    )
    components = Components(
        settings,
        kinds,
        reactor,
        wall_clock,
        environment.owner if environment else None,
        environment.group if environment else None,
    )
    bans = ban_file(settings, environment, reactor)
    followers = Followers(escape_controls)
    status = DaemonStatus(reactor, wall_clock)
    services = RunningServices(settings, kinds)
    certificates = CertificateWatch(
        components.certificates,
        lambda: services.settings.tls,
        reactor,
        wall_clock,
        components.counters.certificates,
    )

    status_commands = StatusCommands(components, services, log, status, certificates)

    def commands() -> CommandTable:
        """Make the operators' commands. Called for the control socket, once all below is made."""
        return operator_commands(
            status_commands,
            ConnectionCommands(services, reactor, wall_clock),
            BanCommands(services, components.bans, bans, reactor, wall_clock),
            OperationCommands(services, configuration.draining, reloader, log),
            event_commands(followers),
        )

    def make_context(**own: Any) -> Context:
        """Make the context of a service. Called for each, once all below is made.

        :param own: the attributes that differ, or are components.
        """
        return Context(
            reload=reloader.reload_soon,
            directory=services.directory,
            factory=services.factory,
            status=status_commands.overview,
            follow=followers.follow,
            **own,
        )

    def check_again(new: Settings) -> list[str]:
        """Check another configuration for this daemon, in its present environment."""
        here = StartupEnvironment(os.environ, os.geteuid())
        known = {*services.socket_paths(), services.settings.tcpd.state}
        return check(new, kinds, wall_clock, here, known)

    internals = [
        metrics(
            MetricsSources(
                components=components,
                services=services,
                followers=followers,
                log=log,
                status=status,
                certificates=certificates,
            )
        )
    ]
    if environment is not None:
        internals.append(control(tcpd, environment, commands))
    services.settings = with_internals(settings, internals)
    builder = ServiceBuilder(
        components,
        internals,
        make_context,
    )
    configuration = LiveConfiguration(
        components, services, builder, internals, certificates, log, status
    )
    reloader = Reloader(
        read or (lambda: settings),
        configuration.reconfigure,
        check_again,
        components.counters.reloads,
        reactor,
    )
    configuration.build_services()
    return Daemon(
        components=components,
        services=services,
        shared_services=(components.chat, *shared_services),
        # otherwise each farewell would be broadcast to the other members of its rooms
        before_stop=components.chat.hub.close,
        configuration=configuration,
        reloader=None if read is None else reloader,
        certificates=certificates,
        ban_file=bans,
        log=log,
        followers=followers,
        status=status,
        environment=environment,
    )


def check(
    settings: Settings,
    kinds: Mapping[str, Any],
    wall_clock: Callable[[], float],
    environment: StartupEnvironment,
    known: Container[str] = (),
) -> list[str]:
    """Check settings, the files that they name, and the directories of UNIX sockets and the state.

    Nothing is opened or changed.

    :param known: see :func:`tcpd.daemon.directories.check_directories`.
    :return: remarks on settings that can be used, a line each.
    :raise ConfigError: with all that is wrong.
    """
    problems = SettingProblems(settings)
    remarks = check_directories(settings, environment, problems, known)
    errors: list[ConfigError] = []
    try:
        remarks += make_daemon(settings, kinds, Clock(), wall_clock).remarks()
    except ConfigError as error:
        errors.append(error)
    try:
        problems.check()
    except ConfigError as error:
        errors.append(error)
    if errors:
        raise ConfigError(
            [line for error in errors for line in error.lines],
            [source for error in errors for source in error.sources],
        )
    return remarks
