"""What differs between two configurations, and what of it a running daemon can take over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from tcpd.config.fields import options_of
from tcpd.config.settings import ServiceSettings, Settings


@dataclass(frozen=True, slots=True)
class ServiceChange:
    """What differs in one service that both have.

    :ivar name: the service's.
    :ivar replaced: why nothing of the old one can stay (``protocol``, or an option that cannot be
        changed while it runs); ``""`` if it can.
    :ivar listen: whether it listens elsewhere or with other words.
    :ivar policy: whether it stands behind another policy, by name or by content.
    :ivar options: the options of its kind that differ.
    :ivar sections: keys of the sections of its kind that differ, as ``[TITLE] KEY``.
    """

    name: str
    replaced: str
    listen: bool
    policy: bool
    options: tuple[str, ...]
    sections: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """What a reload has to do.

    :ivar settings: what will be in force: the new ones, less what takes a restart.
    :ivar added: services that are new, in the new order.
    :ivar removed: services that are gone.
    :ivar changed: services that are in both and differ.
    :ivar sections: by title, the keys of single sections that differ and can be taken over.
    :ivar restart: (title, key) that differ and take a restart of the daemon.
    """

    settings: Settings
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[ServiceChange, ...]
    sections: Mapping[str, tuple[str, ...]]
    restart: tuple[tuple[str, str], ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.sections or self.restart)


def diff(old: Settings, new: Settings) -> Difference:
    """Compare two configurations. Certificates are not looked at: a reload rereads them all."""
    sections: dict[str, tuple[str, ...]] = {}
    restart: list[tuple[str, str]] = []

    def section(title: str, before: Any, after: Any) -> Any:
        taken, left = _keys(before, after)
        if taken:
            sections[title] = taken
        restart.extend((title, key) for key in left)
        return replace(after, **{key: getattr(before, key) for key in left})

    in_force = replace(
        new,
        tcpd=section("tcpd", old.tcpd, new.tcpd),
        sections={
            # where the old one has none, a service is new that reads it
            title: section(title, old.sections[title], values) if title in old.sections else values
            for title, values in new.sections.items()
        },
    )
    changes = (
        _service_change(name, old, new, sections) for name in new.services if name in old.services
    )
    return Difference(
        settings=in_force,
        added=tuple(name for name in new.services if name not in old.services),
        removed=tuple(name for name in old.services if name not in new.services),
        changed=tuple(change for change in changes if change is not None),
        sections=sections,
        restart=tuple(restart),
    )


def _keys(before: Any, after: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The keys that differ: those that can be taken over, and those that cannot."""
    taken: list[str] = []
    left: list[str] = []
    for item in options_of(type(after)):
        if getattr(before, item.name) != getattr(after, item.name):
            (taken if item.reloadable else left).append(item.name)
    return tuple(taken), tuple(left)


def _service_change(
    name: str, old: Settings, new: Settings, sections: Mapping[str, tuple[str, ...]]
) -> ServiceChange | None:
    before, after = old.services[name], new.services[name]
    if before.protocol != after.protocol:
        return ServiceChange(name, "protocol", False, False, ())
    taken, left = _keys(before.options, after.options)
    change = ServiceChange(
        name=name,
        replaced=left[0] if left else "",
        listen=before.listen != after.listen,
        policy=_policy(before, old) != _policy(after, new),
        options=taken,
        sections=tuple(
            f"[{title}] {key}" for title in after.sections for key in sections.get(title, ())
        ),
    )
    if any(getattr(change, field.name) for field in fields(change) if field.name != "name"):
        return change
    return None


def _policy(service: ServiceSettings, settings: Settings) -> Any:
    return settings.policies[service.policy]
