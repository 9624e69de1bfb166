"""Differences between two configurations, and which of them a reload can apply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from tcpd.config.fields import options_of
from tcpd.config.settings import ServiceSettings, Settings


@dataclass(frozen=True, slots=True)
class ServiceChange:
    """The changes of a service that is in both configurations.

    :ivar name: the name of the service.
    :ivar replaced: the key for which the service must be replaced (``protocol``, or an option that
        is not reloadable); ``""`` if it need not.
    :ivar listen: whether its listeners change.
    :ivar policy: whether its policy changes, by name or content.
    :ivar options: the changed options of its kind.
    :ivar sections: the changed keys of the sections of its kind, as ``[TITLE] KEY``.
    """

    name: str
    replaced: str
    listen: bool
    policy: bool
    options: tuple[str, ...]
    sections: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """The changes that a reload applies.

    :ivar settings: the resulting settings: the new ones, without changes that require a restart.
    :ivar added: new services, in the new order.
    :ivar removed: removed services.
    :ivar changed: changed services.
    :ivar sections: by title, the changed reloadable keys of sections without a NAME.
    :ivar restart: (title, key) of changes that require a restart.
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
    """Compare two configurations, without certificates: a reload rereads all of them."""
    sections: dict[str, tuple[str, ...]] = {}
    restart: list[tuple[str, str]] = []

    def section(title: str, before: Any, after: Any) -> Any:
        reloadable, fixed = _changed_keys(before, after)
        if reloadable:
            sections[title] = reloadable
        restart.extend((title, key) for key in fixed)
        return replace(after, **{key: getattr(before, key) for key in fixed})

    in_force = replace(
        new,
        tcpd=section("tcpd", old.tcpd, new.tcpd),
        sections={
            # a new section belongs to a new service
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


def _changed_keys(before: Any, after: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the changed keys: the reloadable ones, and the others."""
    reloadable: list[str] = []
    fixed: list[str] = []
    for item in options_of(type(after)):
        if getattr(before, item.name) != getattr(after, item.name):
            (reloadable if item.reloadable else fixed).append(item.name)
    return tuple(reloadable), tuple(fixed)


def _service_change(
    name: str, old: Settings, new: Settings, sections: Mapping[str, tuple[str, ...]]
) -> ServiceChange | None:
    before, after = old.services[name], new.services[name]
    if before.protocol != after.protocol:
        return ServiceChange(name, "protocol", False, False, ())
    reloadable, fixed = _changed_keys(before.options, after.options)
    change = ServiceChange(
        name=name,
        replaced=fixed[0] if fixed else "",
        listen=before.listen != after.listen,
        policy=_policy(before, old) != _policy(after, new),
        options=reloadable,
        sections=tuple(
            f"[{title}] {key}" for title in after.sections for key in sections.get(title, ())
        ),
    )
    if any(getattr(change, field.name) for field in fields(change) if field.name != "name"):
        return change
    return None


def _policy(service: ServiceSettings, settings: Settings) -> Any:
    return settings.policies[service.policy]
