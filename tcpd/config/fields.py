"""Options: one declaration gives a key its type, unit, default, documentation and reload rule.

A section is a frozen dataclass with attributes made by :func:`option`. The parser, the reference
page, the annotated sample and ``--show-config`` use :func:`options_of`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, dataclass
from typing import Any

from tcpd.config.values import Type

_KEY = "tcpd.option"


@dataclass(frozen=True, slots=True)
class Option:
    """One key of a section.

    :ivar name: the key in the ini file.
    :ivar type: parses and shows its value; names its unit.
    :ivar default: the parsed value without the key.
    :ivar doc: the description, one or a few sentences.
    :ivar reloadable: whether a reload can change it; otherwise a restart is required.
    :ivar secret: whether its value is always masked.
    :ivar sample: the value in the annotated sample, if it is not the default.
    """

    name: str
    type: Type[Any]
    default: Any
    doc: str
    reloadable: bool
    secret: bool
    sample: str | None = None

    @property
    def required(self) -> bool:
        """Whether the key has no default."""
        return self.default is MISSING


def option(
    type: Type[Any],
    default: Any = MISSING,
    doc: str = "",
    *,
    reloadable: bool = True,
    secret: bool = False,
    sample: str | None = None,
) -> Any:
    """Declare a key, as the default of a dataclass attribute of the same name.

    :param type: one of :mod:`tcpd.config.values`.
    :param default: the parsed value without the key; if omitted, the key is required (and the
        dataclass must be ``kw_only``).
    :param doc: the description for the reference page and the annotated sample.
    :param reloadable: whether a reload can change it.
    :param secret: whether to mask its value in all output.
    :param sample: the value in the annotated sample, which runs if there is no configuration file.
    """
    metadata = {_KEY: (type, doc, reloadable, secret, sample)}
    if default is MISSING:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def options_of(cls: type) -> tuple[Option, ...]:
    """The keys that a settings dataclass declares, in order.

    :raise TypeError: if an attribute was not declared by :func:`option`, or the class is not a
        frozen dataclass; both are a programmer's mistake.
    """
    if not dataclasses.is_dataclass(cls) or not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise TypeError(f"{cls.__qualname__} is not a frozen dataclass")
    found = []
    for field in dataclasses.fields(cls):
        if _KEY not in field.metadata:
            raise TypeError(f"{cls.__qualname__}.{field.name} was not declared by option()")
        kind, doc, reloadable, secret, sample = field.metadata[_KEY]
        found.append(Option(field.name, kind, field.default, doc, reloadable, secret, sample))
    return tuple(found)
