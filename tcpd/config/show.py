"""Settings and declarations as text: the effective values, the annotated sample, the reference."""

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

#: Where services listen in the sample that are not in force there.
_EXAMPLE_LISTEN = "127.0.0.1:7000"


def _wrapped(text: str, prefix: str = "# ") -> Iterator[str]:
    return iter(
        textwrap.wrap(text, 96, initial_indent=prefix, subsequent_indent=prefix) or [prefix.strip()]
    )


def _doc(cls: type) -> str:
    """What a docstring says, less the section's name in front of it, which stands above anyway."""
    text = " ".join((cls.__doc__ or "").split())
    text = re.sub(r"^``\[[^]]*\]``: ", "", text)
    return text[:1].upper() + text[1:]


def _plain(text: str) -> str:
    """The same without the marks of reStructuredText, for comments."""
    return text.replace("``", "")


def _literal(text: str) -> str:
    """The same with the names of sections marked, for the reference."""
    return re.sub(r"(?<!`)\[[a-z]+(?::[A-Za-z]+)?\]", r"``\g<0>``", text)


def _assignment(key: str, value: str) -> str:
    # a line that goes on a value is indented
    value = re.sub(r"\n\s*", "\n    ", value)
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


class _Sample:
    """The annotated sample, as it grows."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._told: dict[tuple[str, str], str] = {}

    def comment(self, text: str) -> None:
        self.lines += _wrapped(_plain(text))

    def section(self, title: str, text: str, *head: str) -> None:
        self.lines.append(title)
        self.comment(text)
        self.lines += head

    def keys(self, title: str, cls: type, mark: str = "") -> None:
        """All keys as comments with their defaults; what was already told is told by whom.

        :param mark: stands before what is not a default; ``#`` where that is not in force either.
        """
        for item in options_of(cls):
            self.lines.append("#")
            doc = item.doc
            first = self._told.setdefault((item.name, doc), title)
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
    """The sections that can be there once: the daemon's, and those that kinds declare."""
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
    """Render the annotated sample, which is also what runs where there is no file.

    Every key is there, as a comment with its default; the services are in force.

    :param kinds: those that come with tcpd.
    :param sections: the daemon's, by title.
    :param others: kinds of other packages, which are shown and not in force.
    """
    out = _Sample()
    out.comment(
        "The configuration of tcpd. With no file at all tcpd serves just what stands here. Every "
        "key behind a # shows its default; take the # away to change it. Only protocol and listen "
        "of a service, and certificate of a [tls:NAME], must be given."
    )
    out.lines.append("#")
    out.comment(
        "A comment has a line of its own, or stands behind the name of a section. A value may go "
        "on in indented lines. Durations take ms, s, min, h or d; sizes B, KiB, MiB or GiB; rates "
        "look like 10/s burst 30, with /s, /min or /h, or are none. Paths start at the directory "
        "of the file that names them."
    )
    out.lines += [
        "#",
        "#   twistd tcpd --config FILE --check         says what is wrong with a file",
        "#   twistd tcpd --config FILE --show-config   shows what is in force, and from where",
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
        "IPv6 and IPv4; [::] is IPv6 alone), unix:PATH mode=0660, systemd:NAME, or endpoint: and "
        "any endpoint string of Twisted; then words: tls=NAME for any protocol, udp for the small "
        "services, starttls=NAME for line, websocket for what browsers are to reach. policy = NAME "
        "puts a service behind another policy than the default one."
    )
    out.lines.append("")
    for kind in [*kinds, *others]:
        # what makes no sense without knowing what for is shown, and is not in force
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
.. Made from the declarations in the code by docs/generate.py; a test keeps it so.

Configuration reference
=======================

.. manual

An ini file: ``[section]``, ``key = value``, comments (``#`` or ``;``) on lines of their own or
behind the name of a section, and values that may go on in indented lines. Anything else behind the
name of a section is an error. Nothing is interpolated. Where several files are named by
``--config``, what is read later wins, key by key. Every key is optional but ``protocol`` and
``listen`` of a service and ``certificate`` of a ``[tls:NAME]``, and so is every section but one
``[service:NAME]``. What stands here is also printed as an annotated sample, by
``twistd tcpd --print-config``.

Values
------

*duration*
    A number and ``ms``, ``s``, ``min``, ``h`` or ``d``: ``30s``. ``0`` needs no unit.

*size*
    A whole number and ``B``, ``KiB``, ``MiB`` or ``GiB``: ``64KiB``.

*rate*
    So many a second, minute or hour, and how many at once after a quiet time:
    ``10/s burst 30``, ``1/min``. Without ``burst`` it is the first number. ``none`` is no limit.

*networks*
    Addresses and networks, separated by commas or blanks: ``192.0.2.0/24, 2001:db8::1``.

*path*
    A file. Where it is not absolute it starts at the directory of the file that names it.

*yes or no*
    Also ``true`` and ``false``, ``on`` and ``off``, ``1`` and ``0``.

Listeners
---------

``listen`` takes one listener a line: a place, and then words.

=========================== ====================================================
``HOST:PORT``               an IPv4 address; ``0.0.0.0`` is every IPv4 address
``[V6]:PORT``               an IPv6 address; ``[::]`` is every IPv6 address, and no IPv4
                            address; a link-local one has its interface, ``[fe80::1%eth0]``
``*:PORT``                  every address, IPv6 and IPv4, by one socket
``unix:PATH``               a UNIX socket; the path is absolute
``systemd:NAME``            a socket that systemd holds, by ``FileDescriptorName=``
``endpoint:DESCRIPTION``    any server endpoint string of Twisted, without blanks
=========================== ====================================================

=========================== ====================================================
``tls=NAME``                TLS from the first byte, by ``[tls:NAME]``
``starttls=NAME``           in the clear, until the client asks for TLS
``proxy=NETWORK,NETWORK``   each connection begins with a PROXY header, and comes
                            from a proxy in one of these networks, or it is
                            refused; on a UNIX socket ``proxy=unix``
``udp``                     datagrams in place of connections; with ``HOST:PORT``
``websocket``               the protocol's lines in WebSocket messages; ``ws://``, and
                            ``wss://`` together with ``tls=NAME``
``mode=0660``               the permissions of a UNIX socket, in octal
``owner=USER``              whom a UNIX socket is given to, by name or number
``group=GROUP``             the same of its group
=========================== ====================================================

Port 0 lets the system choose; the log tells which it was.

Two listeners that have an address of a port in common cannot be open at once, and are an error:
``*:7000`` and ``127.0.0.1:7000``, say. ``0.0.0.0:7000`` may stand beside ``[::]:7000``, and ``udp``
beside TCP. A reload may go from ``127.0.0.1:7000`` to ``*:7000`` and back.
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
    out += ["One service. Beside the keys of its protocol, below, every service has:", ""]
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
        out += [f"Words of its listeners: {words}.", ""]
        out += _rst_options(kind.settings)
    return "\n".join(out).rstrip("\n") + "\n"
