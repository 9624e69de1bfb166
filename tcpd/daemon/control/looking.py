"""STATUS, SERVICES, LIMITS and ROOMS: what there is, and how full it is."""

from __future__ import annotations

import heapq
import os
import resource
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tcpd.daemon.certificates import Shown, shown
from tcpd.daemon.control.answer import Told, moment, operator_command, pairs, table
from tcpd.line.command import Command
from tcpd.ops.amounts import size, span
from tcpd.ops.versions import version_of
from tcpd.wire.safe_text import escape_controls

if TYPE_CHECKING:
    from tcpd.daemon.daemon import Daemon

#: The fullest of the rooms are shown, no more than these.
_ROOMS = 200

_LONGEST_TOPIC = 60


class Looking:
    """These commands, on a daemon."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def commands(self) -> list[Command]:
        """All of this group."""
        return [
            operator_command("STATUS", "", "Tells how the daemon is.", self.status, at_most=0),
            operator_command(
                "SERVICES",
                "",
                "Lists the services, with what they have counted since the daemon started.",
                self.services,
                at_most=0,
            ),
            operator_command(
                "LIMITS", "", "Tells the limits, and how full they are.", self.limits, at_most=0
            ),
            operator_command(
                "ROOMS",
                "",
                f"Lists chat rooms, the {_ROOMS} fullest at most.",
                self.rooms,
                at_most=0,
            ),
        ]

    def status(self, words: Sequence[str], operator: str) -> Told:
        """STATUS."""
        daemon = self._daemon
        parts = daemon.parts
        settings = daemon.settings
        files = dict.fromkeys(place.file for place in settings.places.values())
        reloads = parts.counters.reloads
        certificates = shown(daemon.certificates.certificates)
        data: dict[str, Any] = {
            "server_name": parts.server_name,
            "version": version_of("tcpd"),
            "twisted": version_of("twisted"),
            "pid": os.getpid(),
            "uid": os.geteuid(),
            "ready": not daemon.unready,
            "unready": daemon.unready or None,
            "started": moment(daemon.began),
            "uptime": round(parts.reactor.seconds() - parts.started, 3),
            "configured": moment(daemon.configured),
            "configuration": list(files),
            "reloads": {"ok": reloads["ok"], "refused": reloads["refused"]},
            "connections": parts.tally.count,
            "connections_limit": parts.tally.limit,
            "services": len(daemon.directory()),
            "drained": list(daemon.drained.services),
            "bans": len(parts.bans),
            "members": parts.hub.member_count,
            "rooms": parts.hub.room_count,
            "log_level": daemon.log_level,
            "memory": daemon.process.resident(),
            "reactor_lag": round(daemon.lag.last, 6),
            "reactor_lag_max": round(daemon.lag.largest, 6),
            "certificates": [self._certificate(each) for each in certificates],
            "certificates_stale": dict(daemon.certificates.stale),
        }
        drained = f", drained: {', '.join(data['drained'])}" if data["drained"] else ""
        text = pairs(
            [
                ("server", f"{data['server_name']}, tcpd {data['version']}"),
                ("process", f"{data['pid']} as uid {data['uid']}, {_memory(data['memory'])}"),
                ("running", f"{span(data['uptime'])}, since {data['started']}"),
                ("ready", "yes" if data["ready"] else f"no, {daemon.unready}"),
                ("configuration", f"{', '.join(files)}, taken over {data['configured']}"),
                ("reloads", f"{reloads['ok']} done, {reloads['refused']} refused"),
                ("connections", f"{parts.tally.count} of {parts.tally.limit}"),
                ("services", f"{data['services']}{drained}"),
                ("bans", data["bans"]),
                ("chat", f"people {data['members']}, rooms {data['rooms']}"),
                ("reactor", _lateness(daemon.lag.largest)),
                ("log level", data["log_level"]),
                *((f"tls {each.tls}", each.line(parts.wall_clock())) for each in certificates),
                *(
                    (f"tls {name}", f"new files cannot be used: {error}")
                    for name, error in daemon.certificates.stale.items()
                ),
            ]
        )
        return Told(text, data)

    def _certificate(self, each: Shown) -> dict[str, Any]:
        return {
            "tls": each.tls,
            "file": each.pair.file,
            "key_type": each.pair.key_type,
            "names": list(each.pair.names),
            "fingerprint": each.pair.fingerprint,
            "until": moment(each.pair.expires),
            "days": int(each.days(self._daemon.parts.wall_clock())),
        }

    def services(self, words: Sequence[str], operator: str) -> Told:
        """SERVICES."""
        data = [self._service(name) for name in self._daemon.known_services()]
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
        return Told(text, {"services": data})

    def limits(self, words: Sequence[str], operator: str) -> Told:
        """LIMITS."""
        daemon = self._daemon
        tally = daemon.parts.tally
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        services: list[dict[str, Any]] = []
        for name, unit in daemon.units.items():
            layer = unit.layer
            policy = layer.policy
            services.append(
                {
                    "name": name,
                    "policy": daemon.policy_of(name),
                    "connections": layer.admission.count,
                    "connections_limit": policy.connections,
                    "busiest_address": layer.admission.busiest,
                    "per_address": policy.per_address,
                    "idle": layer.idle,
                    "unsent": policy.unsent,
                }
            )
        data = {
            "connections": tally.count,
            "connections_limit": tally.limit,
            "open_files_limit": files,
            "services": services,
        }
        head = f"connections {tally.count} of {tally.limit}, open files {files} at most\n"
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
        return Told(head + text, data)

    def rooms(self, words: Sequence[str], operator: str) -> Told:
        """ROOMS."""
        hub = self._daemon.parts.hub
        rooms = heapq.nlargest(_ROOMS, hub.rooms, key=lambda room: len(room.members))
        data: list[dict[str, Any]] = [
            {
                "name": room.name,
                "members": len(room.members),
                "operators": len(room.operators),
                "house": room.house,
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
        return Told(text, {"total": hub.room_count, "rooms": data})

    def _service(self, name: str) -> dict[str, Any]:
        daemon = self._daemon
        unit = daemon.by_name().get(name)
        settings = daemon.settings.services.get(name) or daemon.drained.services.get(name)
        counters = daemon.contexts[name].counters if name in daemon.contexts else None
        if name in daemon.units:
            state = "open"
        else:
            state = "draining" if unit is not None else "drained"
        return {
            "name": name,
            "protocol": settings.protocol if settings else None,
            "policy": daemon.policy_of(name),
            "state": state,
            "own": name in daemon.internals,
            "listeners": [str(each) for each in unit.listening] if unit else [],
            "connections": len(unit.layer.connections) if unit else 0,
            "accepted": counters.accepted if counters else 0,
            "refused": counters.refused.total() if counters else 0,
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
