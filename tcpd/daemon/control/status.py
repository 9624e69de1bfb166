"""STATUS, SERVICES, LIMITS and ROOMS: the daemon's state and load."""

from __future__ import annotations

import heapq
import os
import resource
from collections.abc import Sequence
from itertools import islice
from typing import Any

from tcpd.daemon.certificates import CertificateWatch, Shown, shown
from tcpd.daemon.components import Components
from tcpd.daemon.control.command import CommandResult, moment, operator_command, pairs, table
from tcpd.daemon.log_control import LogControl
from tcpd.daemon.running_services import RunningServices, is_own
from tcpd.daemon.status import DaemonStatus
from tcpd.line.command import Command
from tcpd.ops.amounts import size, span
from tcpd.ops.versions import version_of
from tcpd.wire.safe_text import escape_controls

#: Maximum number of rooms that ROOMS shows: those with the most members.
_ROOMS = 200

_LONGEST_TOPIC = 60

#: Connections whose round trips are read: one system call each.
_SAMPLED = 50


class StatusCommands:
    """The commands of this group.

    :param components: the components that exist for the lifetime of the daemon.
    :param services: the running services.
    :param log: provides the level of the log.
    :param status: the status of the daemon as a whole.
    :param certificates: the certificates in force.
    """

    def __init__(
        self,
        components: Components,
        services: RunningServices,
        log: LogControl,
        status: DaemonStatus,
        certificates: CertificateWatch,
    ) -> None:
        self._components = components
        self._services = services
        self._log = log
        self._status = status
        self._certificates = certificates

    def commands(self) -> list[Command]:
        """The commands of this group."""
        return [
            operator_command("STATUS", "", "Shows the daemon's status.", self.status, at_most=0),
            operator_command(
                "SERVICES",
                "",
                "Lists the services with their counters since the daemon started.",
                self.services,
                at_most=0,
            ),
            operator_command(
                "LIMITS", "", "Shows the limits and their use.", self.limits, at_most=0
            ),
            operator_command(
                "ROOMS",
                "",
                f"Lists chat rooms, the {_ROOMS} fullest at most.",
                self.rooms,
                at_most=0,
            ),
        ]

    def overview(self) -> dict[str, Any]:
        """Return the objects of STATUS and SERVICES, and the round trips of some connections."""
        return {
            "status": self._status_data(),
            "services": self._services_data(),
            "rtt": self._round_trips(),
        }

    def _round_trips(self) -> dict[str, int | None]:
        """Return the median and the 95th percentile of the smoothed round-trip time, in
        microseconds, of at most :data:`_SAMPLED` TCP connections; ``None`` without any."""
        found: list[int] = []
        for connection in islice(self._services.connections(), _SAMPLED):
            figures = connection.tcp_sample() or {}
            if "rtt" in figures:
                found.append(figures["rtt"])
        found.sort()
        count = len(found)
        return {
            "count": count,
            "median": found[count // 2] if found else None,
            "p95": found[count * 19 // 20] if found else None,
        }

    def _status_data(self) -> dict[str, Any]:
        components, services, status = self._components, self._services, self._status
        lag = status.lag
        files = dict.fromkeys(source.file for source in services.settings.sources.values())
        count = components.connection_count
        reloads = components.counters.reloads
        certificates = shown(self._certificates.certificates)
        return {
            "server_name": components.server_name,
            "version": version_of("tcpd"),
            "twisted": version_of("twisted"),
            "pid": os.getpid(),
            "uid": os.geteuid(),
            "ready": not status.unready,
            "unready": status.unready or None,
            "started": moment(status.began),
            "uptime": round(components.reactor.seconds() - components.started, 3),
            "configured": moment(status.configured),
            "configuration": list(files),
            "reloads": {"ok": reloads["ok"], "refused": reloads["refused"]},
            "connections": count.count,
            "connections_limit": count.limit,
            "services": len(services.directory()),
            "drained": list(services.drained),
            "bans": len(components.bans),
            "members": components.chat.hub.people_count,
            "rooms": components.chat.hub.room_count,
            "log_level": self._log.level,
            "memory": status.process.resident(),
            "reactor_lag": round(lag.last, 6),
            "reactor_lag_max": round(lag.largest, 6),
            "certificates": [self._certificate(each) for each in certificates],
            "certificates_stale": dict(self._certificates.stale),
        }

    def status(self, words: Sequence[str], operator: str) -> CommandResult:
        """Execute STATUS."""
        data, now = self._status_data(), self._components.wall_clock()
        reloads, files = data["reloads"], ", ".join(data["configuration"])
        drained = f", drained: {', '.join(data['drained'])}" if data["drained"] else ""
        text = pairs(
            [
                ("server", f"{data['server_name']}, tcpd {data['version']}"),
                ("process", f"{data['pid']} as uid {data['uid']}, {_memory(data['memory'])}"),
                ("running", f"{span(data['uptime'])}, since {data['started']}"),
                ("ready", "yes" if data["ready"] else f"no, {data['unready']}"),
                (
                    "configuration",
                    f"{files}, loaded {data['configured']}",
                ),
                ("reloads", f"{reloads['ok']} done, {reloads['refused']} refused"),
                ("connections", f"{data['connections']} of {data['connections_limit']}"),
                ("services", f"{data['services']}{drained}"),
                ("bans", data["bans"]),
                ("chat", f"people {data['members']}, rooms {data['rooms']}"),
                ("reactor", _lateness(data["reactor_lag_max"])),
                ("log level", data["log_level"]),
                *(
                    (f"tls {each.tls}", each.line(now))
                    for each in shown(self._certificates.certificates)
                ),
                *(
                    (f"tls {name}", f"new files cannot be used: {error}")
                    for name, error in data["certificates_stale"].items()
                ),
            ]
        )
        return CommandResult(text, data)

    def _certificate(self, each: Shown) -> dict[str, Any]:
        return {
            "tls": each.tls,
            "file": each.pair.file,
            "key_type": each.pair.key_type,
            "names": list(each.pair.names),
            "fingerprint": each.pair.fingerprint,
            "until": moment(each.pair.expires),
            "days": int(each.days(self._components.wall_clock())),
        }

    def _services_data(self) -> list[dict[str, Any]]:
        return [self._service(name) for name in self._services.known()]

    def services(self, words: Sequence[str], operator: str) -> CommandResult:
        """Execute SERVICES."""
        data = self._services_data()
        rows: list[tuple[object, ...]] = []
        for each in data:
            first, *more = each["listeners"] or ["-"]
            rows.append(
                (
                    each["name"],
                    each["protocol"],
                    each["state"],
                    each["connections"],
                    each["accepted"],
                    each["refused"],
                    first,
                )
            )
            rows += [("", "", "", "", "", "", listener) for listener in more]
        text = table(
            ["SERVICE", "PROTOCOL", "STATE", ">OPEN", ">ACCEPTED", ">REFUSED", "LISTENERS"], rows
        )
        return CommandResult(text, {"services": data})

    def limits(self, words: Sequence[str], operator: str) -> CommandResult:
        """Execute LIMITS."""
        count = self._components.connection_count
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        services: list[dict[str, Any]] = []
        for name, unit in self._services.units.items():
            layer = unit.layer
            policy = layer.policy
            services.append(
                {
                    "name": name,
                    "policy": self._services.policy_of(name),
                    "connections": layer.admission.count,
                    "connections_limit": policy.connections,
                    "busiest_address": layer.admission.busiest,
                    "per_address": policy.per_address,
                    "idle": layer.idle,
                    "unsent": policy.unsent,
                }
            )
        data = {
            "connections": count.count,
            "connections_limit": count.limit,
            "open_files_limit": files,
            "services": services,
        }
        head = f"connections {count.count} of {count.limit}, open files {files} at most\n"
        text = table(
            ["SERVICE", "POLICY", ">OPEN", ">OF", ">BUSIEST ADDRESS", ">OF", ">IDLE", ">UNSENT"],
            [
                (
                    each["name"],
                    each["policy"] or "-",
                    each["connections"],
                    each["connections_limit"],
                    each["busiest_address"],
                    each["per_address"],
                    span(each["idle"]) if each["idle"] else "never",
                    size(each["unsent"]),
                )
                for each in services
            ],
        )
        return CommandResult(head + text, data)

    def rooms(self, words: Sequence[str], operator: str) -> CommandResult:
        """Execute ROOMS."""
        hub = self._components.chat.hub
        rooms = heapq.nlargest(_ROOMS, hub.rooms, key=lambda room: len(room.members))
        data: list[dict[str, Any]] = [
            {
                "name": room.name,
                "members": len(room.members),
                "operators": len(room.operators),
                "house": room.is_lobby,
                "topic": room.topic.text if room.topic else None,
            }
            for room in rooms
        ]
        text = table(
            ["ROOM", ">MEMBERS", ">OPERATORS", "TOPIC"],
            [
                (
                    escape_controls(each["name"]),
                    each["members"],
                    each["operators"],
                    _short(each["topic"] or ""),
                )
                for each in data
            ],
        )
        if len(data) < hub.room_count:
            text += f"\n{len(data)} of {hub.room_count} rooms"
        return CommandResult(text, {"total": hub.room_count, "rooms": data})

    def _service(self, name: str) -> dict[str, Any]:
        services = self._services
        unit = services.by_name().get(name)
        settings = services.settings_of(name)
        counters = services.contexts[name].counters if name in services.contexts else None
        if name in services.units:
            state = "open"
        else:
            state = "draining" if unit is not None else "drained"
        return {
            "name": name,
            "protocol": settings.protocol if settings else None,
            "policy": services.policy_of(name),
            "state": state,
            "own": is_own(name),
            "listeners": [str(each) for each in unit.listening] if unit else [],
            "connections": len(unit.layer.connections) if unit else 0,
            "accepted": counters.accepted if counters else 0,
            "refused": counters.refused.total() if counters else 0,
            "refused_by": {str(why): n for why, n in counters.refused.items()} if counters else {},
            "bytes_in": counters.bytes_in if counters else 0,
            "bytes_out": counters.bytes_out if counters else 0,
        }


def _lateness(seconds: float) -> str:
    return f"at most {seconds * 1000:.1f} ms late in the last minute or two"


def _short(topic: str) -> str:
    topic = escape_controls(topic)
    return topic if len(topic) <= _LONGEST_TOPIC else topic[: _LONGEST_TOPIC - 3] + "..."


def _memory(resident: int | None) -> str:
    return "memory unknown" if resident is None else f"{size(resident)} resident"
