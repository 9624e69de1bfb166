"""Settings and declarations as text: the effective values, the annotated sample, the reference."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tcpd.config.build import SERVICE_KEYS
from tcpd.config.fields import Option, options_of
from tcpd.config.settings import (
    KindOptions,
    PolicySettings,
    Settings,
    TcpdSettings,
    TLSSettings,
)

_MASK = "(hidden)"


def _wrapped(text: str, prefix: str = "# ") -> Iterator[str]:
    return iter(
        textwrap.wrap(text, 96, initial_indent=prefix, subsequent_indent=prefix) or [prefix.strip()]
    )


def _doc(cls: type) -> str:
    return " ".join((cls.__doc__ or "").split())


def _assignment(key: str, value: str) -> str:
    return f"{key} = {value}".rstrip()


def show_config(settings: Settings) -> str:
    """Render what is in force: each value, and above it where it comes from.

    The text is itself a configuration, but for secrets, which are masked.
    """
    out: list[str] = []

    def origin(title: str, key: str) -> str:
        place = settings.places.get((title, key))
        return f"# {place}" if place else "# default"

    def keys(title: str, values: Any) -> None:
        for item in options_of(type(values)):
            value = getattr(values, item.name)
            shown = _MASK if item.secret and value != item.default else item.type.show(value)
            out.append(origin(title, item.name))
            out.append(_assignment(item.name, shown))

    def section(title: str, values: Any) -> None:
        out.append(f"[{title}]")
        keys(title, values)
        out.append("")

    section("tcpd", settings.tcpd)
    for title, values in settings.sections.items():
        section(title, values)
    for name, policy in settings.policies.items():
        section(f"policy:{name}", policy)
    for name, tls in settings.tls.items():
        section(f"tls:{name}", tls)
    for service in settings.services.values():
        title = f"service:{service.name}"
        out += [f"[{title}]", origin(title, "protocol"), f"protocol = {service.protocol}"]
        out += [origin(title, "listen"), "listen ="]
        out += [f"    {listener}" for listener in service.listen]
        out += [origin(title, "policy"), f"policy = {service.policy}"]
        keys(title, service.options)
        out.append("")
    return "\n".join(out)


def _sample_keys(options: Iterable[Option]) -> Iterator[str]:
    for item in options:
        yield "#"
        yield from _wrapped(item.doc, "# ")
        if item.required:
            yield from _wrapped(f"({item.type.name}; must be given)", "# ")
            yield f"#{item.name} ="
        else:
            yield from _wrapped(f"({item.type.name})", "# ")
            yield _assignment(f"#{item.name}", item.type.show(item.default))


def sample(kinds: Iterable[KindOptions], sections: Mapping[str, type]) -> str:
    """Render the annotated sample, which is also what runs where there is no file.

    Every key is there, as a comment with its default; the services are in force.
    """
    out = [
        *_wrapped(
            "The configuration of tcpd. With no file at all tcpd serves just what stands here. "
            "Every key is optional but protocol and listen, and certificate in [tls:NAME]; those "
            "behind a # show their defaults."
        ),
        "#",
        *_wrapped(
            "Try a change with `twistd tcpd --config FILE --check`; see what is in force with "
            "`twistd tcpd --config FILE --show-config`. Durations take ms, s, min, h or d; sizes "
            "B, KiB, MiB or GiB. A comment has a line of its own. A value may go on in indented "
            "lines."
        ),
        "",
    ]
    single: dict[str, type] = {"tcpd": TcpdSettings, **sections}
    for title, cls in single.items():
        out += [f"[{title}]", *_wrapped(_doc(cls)), *_sample_keys(options_of(cls)), ""]
    out += ["[policy:default]", *_wrapped(_doc(PolicySettings))]
    out += [*_sample_keys(options_of(PolicySettings)), ""]
    out += ["#[tls:main]", *_wrapped(_doc(TLSSettings)), *_sample_keys(options_of(TLSSettings)), ""]
    out += [
        *_wrapped(
            "Services. listen takes one listener a line: HOST:PORT, [V6]:PORT, *:PORT (every "
            "address, IPv6 and IPv4), unix:PATH mode=0660, systemd:NAME, or endpoint: and any "
            "endpoint string of Twisted; then words: tls=NAME on any, udp for the small services, "
            "starttls=NAME for line."
        ),
        "",
    ]
    for kind in kinds:
        if kind.sample_listen is None:
            continue
        out += [f"[service:{kind.name}]", *_wrapped(kind.summary)]
        out += [f"protocol = {kind.name}", f"listen = {kind.sample_listen}"]
        out += [*_sample_keys(options_of(kind.settings)), ""]
    return "\n".join(out)


def _rst_keys(rows: Iterable[tuple[str, str, str, str, str]]) -> Iterator[str]:
    for name, kind, default, doc, reloadable in rows:
        yield f"``{name}``"
        yield f"    {doc}"
        yield ""
        yield f"    *{kind}*; {default}{reloadable}"
        yield ""


def _rst_options(cls: type) -> Iterator[str]:
    def row(item: Option) -> tuple[str, str, str, str, str]:
        if item.required:
            default = "required"
        else:
            shown = item.type.show(item.default)
            default = f"default ``{shown}``" if shown else "default empty"
        later = "" if item.reloadable else "; a change needs a restart"
        return item.name, item.type.name, default, item.doc, later

    return _rst_keys(row(item) for item in options_of(cls))


def _heading(text: str, line: str) -> list[str]:
    return [text, line * len(text), ""]


def reference(kinds: Iterable[KindOptions], sections: Mapping[str, type]) -> str:
    """Render the reference page of all sections and keys, as reStructuredText."""
    kinds = list(kinds)
    out = [
        ".. Made from the declarations in the code by docs/generate.py; a test keeps it so.",
        "",
        *_heading("Configuration reference", "="),
        "An ini file: ``[section]``, ``key = value``, comments (``#`` or ``;``) on lines of their",
        "own, and values that may go on in indented lines. Nothing is interpolated. Paths that are",
        "not absolute start at the directory of the file that names them.",
        "",
    ]
    single: dict[str, type] = {"tcpd": TcpdSettings, **sections}
    several: dict[str, type] = {"policy:NAME": PolicySettings, "tls:NAME": TLSSettings}
    for title, cls in {**single, **several}.items():
        out += [*_heading(f"[{title}]", "-"), _doc(cls), "", *_rst_options(cls)]
    out += _heading("[service:NAME]", "-")
    out += ["One service. Beside the keys of its protocol, below, every service has:", ""]
    out += _rst_keys(
        (
            name,
            kind,
            f"default ``{default}``" if default else "required",
            doc.replace("[policy:NAME]", "``[policy:NAME]``"),
            "",
        )
        for name, kind, default, doc in SERVICE_KEYS
    )
    for kind in kinds:
        out += [*_heading(f"protocol = {kind.name}", "~"), kind.summary, ""]
        words = ", ".join(f"``{word}``" for word in sorted({"tls", *kind.words}))
        out += [f"Words of its listeners: {words}.", ""]
        out += _rst_options(kind.settings)
    return "\n".join(out).rstrip("\n") + "\n"
