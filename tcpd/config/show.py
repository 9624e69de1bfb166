"""Render the effective configuration, the annotated sample and the reference page."""

from __future__ import annotations

import re
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
    sections_of,
)

_MASK = "(hidden)"

#: The addresses of services that the sample contains as comments only.
_EXAMPLE_LISTEN = "127.0.0.1:7000"


def _wrapped(text: str, prefix: str = "# ") -> Iterator[str]:
    return iter(
        textwrap.wrap(text, 96, initial_indent=prefix, subsequent_indent=prefix) or [prefix.strip()]
    )


def _doc(cls: type) -> str:
    """Return the docstring as one paragraph, without the leading section name."""
    text = " ".join((cls.__doc__ or "").split())
    text = re.sub(r"^``\[[^]]*\]``: ", "", text)
    return text[:1].upper() + text[1:]


def _plain(text: str) -> str:
    """Remove reStructuredText markup, for comments."""
    return text.replace("``", "")


def _literal(text: str) -> str:
    """Mark section names as literals, for the reference page."""
    return re.sub(r"(?<!`)\[[a-z]+(?::[A-Za-z]+)?\]", r"``\g<0>``", text)


def _assignment(key: str, value: str) -> str:
    value = re.sub(r"\n\s*", "\n    ", value)
    return f"{key} = {value}".rstrip()


def show_config(settings: Settings) -> str:
    """Render the effective configuration; a comment above each value names its source.

    The output is a valid configuration, except that secrets are masked.
    """
    out: list[str] = []

    def origin(title: str, key: str) -> str:
        source = settings.sources.get((title, key))
        return f"# {source}" if source else "# default"

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


class _Sample:
    """Collects the lines of the annotated sample."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._documented: dict[tuple[str, str], str] = {}

    def comment(self, text: str) -> None:
        self.lines += _wrapped(_plain(text))

    def section(self, title: str, text: str, *head: str) -> None:
        self.lines.append(title)
        self.comment(text)
        self.lines += head

    def keys(self, title: str, cls: type, mark: str = "") -> None:
        """Append all keys, as comments with their defaults.

        A description that a former section had is replaced by a reference to that section.

        :param mark: prefix of sample values; ``#`` if the section is commented out.
        """
        for item in options_of(cls):
            self.lines.append("#")
            doc = item.doc
            first = self._documented.setdefault((item.name, doc), title)
            if first != title:
                doc = f"As in {first}."
            must = "; must be given" if item.required else ""
            self.comment(f"{doc} ({item.type.name}{must})")
            if item.sample is not None:
                self.lines.append(_assignment(mark + item.name, item.sample))
                continue
            shown = "" if item.required else item.type.show(item.default)
            self.lines.append(_assignment(f"#{item.name}", shown))
        self.lines.append("")


def _single(kinds: Iterable[KindOptions], sections: Mapping[str, type]) -> dict[str, type]:
    """Return the sections without a NAME: the daemon's, and those that kinds declare."""
    single: dict[str, type] = {"tcpd": TcpdSettings, **sections}
    for kind in kinds:
        for title, cls in sections_of(kind).items():
            single.setdefault(title, cls)
    return single


def sample(
    kinds: Iterable[KindOptions],
    sections: Mapping[str, type],
    others: Iterable[KindOptions] = (),
) -> str:
    """Render the annotated sample, which is also the configuration used without a file.

    Every key is a comment with its default; the services are not commented out.

    :param kinds: the built-in kinds.
    :param sections: the daemon's sections, by title.
    :param others: kinds of other packages, shown as comments.
    """
    out = _Sample()
    out.comment(
        "The configuration of tcpd. Without a file, tcpd uses exactly this configuration. A key "
        "after a # shows its default; delete the # to change it. Only protocol and listen of a "
        "service, and certificate of a [tls:NAME], are required."
    )
    out.lines.append("#")
    out.comment(
        "A comment is on a separate line, or after the name of a section. A value may continue "
        "on indented lines. Durations take ms, s, min, h or d; sizes B, KiB, MiB or GiB; rates "
        "look like 10/s burst 30, with /s, /min or /h, or are none. Paths are relative to the "
        "directory of the file that contains them."
    )
    out.lines += [
        "#",
        "#   twistd tcpd --config FILE --check         reports the errors of a file",
        "#   twistd tcpd --config FILE --show-config   shows effective values and their sources",
        "",
    ]
    kinds = list(kinds)
    others = list(others)
    in_force = _single(kinds, sections)
    for name, cls in _single([*kinds, *others], sections).items():
        out.section(f"[{name}]" if name in in_force else f"#[{name}]", _doc(cls))
        out.keys(f"[{name}]", cls)
    out.section("[policy:default]", _doc(PolicySettings))
    out.keys("[policy:default]", PolicySettings)
    out.section("#[tls:main]", _doc(TLSSettings))
    out.keys("[tls:main]", TLSSettings)
    out.comment(
        "Services. listen takes one listener a line: HOST:PORT, [V6]:PORT, *:PORT (every address, "
        "IPv6 and IPv4; [::] is IPv6 only), unix:PATH mode=0660, systemd:NAME, or endpoint: and "
        "any endpoint string of Twisted. Options follow: tls=NAME for any protocol, udp for the "
        "small services, starttls=NAME for line, websocket for irc. policy = NAME selects a policy "
        "other than the default."
    )
    out.lines.append("")
    for kind in [*kinds, *others]:
        # a kind without a sensible default listener is shown as a comment
        mark = "#" if kind.sample_listen is None or kind in others else ""
        out.section(
            f"{mark}[service:{kind.name}]",
            kind.summary,
            f"{mark}protocol = {kind.name}",
            f"{mark}listen = {kind.sample_listen or _EXAMPLE_LISTEN}",
        )
        out.keys(f"[service:{kind.name}]", kind.settings, mark)
    return "\n".join(out.lines)


def _rst_keys(rows: Iterable[tuple[str, str, str, str]]) -> Iterator[str]:
    for name, kind, default, doc in rows:
        yield f"``{name}``"
        yield from _wrapped(_literal(doc), "    ")
        yield ""
        yield f"    *{kind}*; {default}"
        yield ""


def _rst_options(cls: type) -> Iterator[str]:
    def row(item: Option) -> tuple[str, str, str, str]:
        if item.required:
            default = "required"
        else:
            shown = item.type.show(item.default)
            default = f"default ``{shown}``" if shown else "default empty"
        if not item.reloadable:
            default += "; a change takes a restart"
        return item.name, item.type.name, default, item.doc

    return _rst_keys(row(item) for item in options_of(cls))


def _heading(text: str, line: str) -> list[str]:
    return [text, line * len(text), ""]


_REFERENCE_HEAD = """\
.. Generated from the declarations in the code by docs/generate.py; do not edit.

Configuration reference
=======================

.. manual

The configuration is an ini file: ``[section]`` and ``key = value``. A comment (``#`` or ``;``) is
on a separate line, or after the name of a section. A value may continue on indented lines. There
is no interpolation. If ``--config`` names several files, later files override earlier ones, key by
key. ``protocol`` and ``listen`` of a service and ``certificate`` of a ``[tls:NAME]`` are required;
all other keys are optional. At least one ``[service:NAME]`` is required.
``twistd tcpd --print-config`` prints this reference as an annotated sample.

Values
------

*duration*
    A number and ``ms``, ``s``, ``min``, ``h`` or ``d``: ``30s``. ``0`` needs no unit.

*size*
    A whole number and ``B``, ``KiB``, ``MiB`` or ``GiB``: ``64KiB``.

*rate*
    Events per second, minute or hour, and the burst that is allowed after idle time:
    ``10/s burst 30``, ``1/min``. Without ``burst``, the burst is the first number. ``none`` is no
    limit.

*networks*
    Addresses and networks, separated by commas or blanks: ``192.0.2.0/24, 2001:db8::1``.

*path*
    A file. A relative path starts at the directory of the ini file that contains it.

*yes or no*
    Also ``true`` and ``false``, ``on`` and ``off``, ``1`` and ``0``.

Listeners
---------

``listen`` takes one listener a line: an address, and then options.

=========================== ====================================================
``HOST:PORT``               an IPv4 address; ``0.0.0.0`` is every IPv4 address
``[V6]:PORT``               an IPv6 address; ``[::]`` is every IPv6 address, and no IPv4
                            address; a link-local one needs its interface, ``[fe80::1%eth0]``
``*:PORT``                  every address, IPv6 and IPv4, on one socket
``unix:PATH``               a UNIX socket; the path is absolute
``systemd:NAME``            a socket that systemd passes, by its ``FileDescriptorName=``
``endpoint:DESCRIPTION``    any server endpoint string of Twisted, without blanks
=========================== ====================================================

=========================== ====================================================
``tls=NAME``                TLS from the first byte, with ``[tls:NAME]``
``starttls=NAME``           in the clear until the client starts TLS
``proxy=NETWORK,NETWORK``   each connection must begin with a PROXY header, and come
                            from a proxy in one of these networks; other connections
                            are refused; on a UNIX socket ``proxy=unix``
``udp``                     datagrams instead of connections; with ``HOST:PORT``
``websocket``               the protocol's lines in WebSocket messages; ``ws://``, and
                            ``wss://`` together with ``tls=NAME``
``mode=0660``               permissions of a UNIX socket, in octal
``owner=USER``              owner of a UNIX socket, by name or number
``group=GROUP``             group of a UNIX socket, by name or number
=========================== ====================================================

With port 0 the system chooses a port; the log shows it.

Two listeners on the same port and address are an error, as are overlapping ones such as ``*:7000``
and ``127.0.0.1:7000``. ``0.0.0.0:7000`` and ``[::]:7000`` do not overlap; ``udp`` does not overlap
with TCP. A reload may change ``127.0.0.1:7000`` to ``*:7000`` and back.
"""


def reference(kinds: Iterable[KindOptions], sections: Mapping[str, type]) -> str:
    """Render the reference page of all sections and keys, as reStructuredText."""
    kinds = list(kinds)
    out = [_REFERENCE_HEAD]
    single = _single(kinds, sections)
    several: dict[str, type] = {"policy:NAME": PolicySettings, "tls:NAME": TLSSettings}
    for title, cls in {**single, **several}.items():
        out += [*_heading(f"[{title}]", "-"), *_wrapped(_doc(cls), ""), "", *_rst_options(cls)]
    out += _heading("[service:NAME]", "-")
    out += ["One service. These keys are for every service; the keys of each protocol follow.", ""]
    out += _rst_keys(
        (
            name,
            kind,
            f"default ``{default}``" if default else "required",
            doc,
        )
        for name, kind, default, doc in SERVICE_KEYS
    )
    for kind in kinds:
        out += [*_heading(f"protocol = {kind.name}", "~"), kind.summary, ""]
        words = ", ".join(f"``{word}``" for word in sorted({"tls", *kind.words}))
        out += [f"Listener options: {words}.", ""]
        out += _rst_options(kind.settings)
    return "\n".join(out).rstrip("\n") + "\n"
