"""Builds settings from a parsed document, and reports all errors at once."""

from __future__ import annotations

import difflib
import os.path
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from tcpd.config.errors import ConfigError
from tcpd.config.fields import Option, options_of
from tcpd.config.ini import ConfigFault, Document, IniSection, IniValue, SourceLine
from tcpd.config.listen import (
    KIND_WORDS,
    LISTENERS,
    BindAddress,
    Listener,
    ListenerError,
    UnixSocket,
    parse_listener,
)
from tcpd.config.locations import AUTO, CREDENTIAL, NONE
from tcpd.config.overlap import Spot, overlap, spot_of
from tcpd.config.settings import (
    POLICY,
    KindOptions,
    PolicySettings,
    ServiceSettings,
    Settings,
    TcpdSettings,
    TLSSettings,
    sections_of,
)
from tcpd.config.values import FILE, FILES, PATH

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_.-]{0,62})")

#: Names of the daemon's internal services, which no [service:NAME] may have, as logs and metrics
#: would be ambiguous.
RESERVED = frozenset({"control", "metrics"})

# a part of a value that would reveal a secret
_PIECE = re.compile(r"[^\s,;:=/@'\"]{3,}")

# Characters of a section's name that an error shows.
_SHOWN = 80

#: Keys that every service has in addition to those of its kind: (name, type, default, meaning).
SERVICE_KEYS = (
    ("protocol", "name of a protocol", None, "Protocol that the service speaks."),
    ("listen", "listeners", None, "Its listeners, one a line."),
    ("policy", "name of a policy", "default", "NAME of its [policy:NAME]."),
)

#: Sections with a name, ``[FAMILY:NAME]``.
FAMILIES = ("policy", "tls", "service")

# Keys of earlier versions: (section, key), and the error's hint.
_REMOVED_KEYS = {
    ("tcpd", "transport"): "it was removed; delete the line",
}


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word.lower(), list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""


def _meant_as_protocol(section: IniSection) -> str:
    """Return the key that is a mistyped ``protocol``; empty for none."""
    return next((key for key in section.values if _did_you_mean(key, ["protocol"])), "")


def _unquoted(item: Option, value: IniValue, sentence: str) -> str:
    """Return the error of a secret value, without any part of the value."""
    if any(piece in sentence for piece in _PIECE.findall(value.text)):
        return f"the value is not a valid {item.type.name}; it is a secret and not shown"
    return sentence


class _Builder:
    """Collects settings and errors in one pass over a document.

    Everything that does not depend on an invalid value is checked.
    """

    def __init__(
        self,
        document: Document,
        kinds: Mapping[str, KindOptions],
        sections: Mapping[str, type],
        faults: Sequence[ConfigFault],
    ) -> None:
        self.document = document
        self.kinds = kinds
        #: Sections without a name, by title, with their settings dataclasses.
        self.single: dict[str, type] = {"tcpd": TcpdSettings, **sections}
        #: Whether a service names a kind that is not installed or cannot be loaded.
        self.lacks_kind = False
        self.errors = list(faults)
        # a missing key may be in a line or file that could not be parsed
        self.complete = not faults
        self.misnamed: set[str] = set()
        self.sources: dict[tuple[str, str], SourceLine] = {}
        # listeners by the key that conflicting ones share
        self.taken: dict[Spot, list[tuple[BindAddress, str, SourceLine]]] = {}

    def complain(self, source: SourceLine, title: str, key: str, text: str) -> None:
        shown = title if len(title) <= _SHOWN else f"{title[:_SHOWN]}..."
        where = f"[{shown}] {key}" if key else f"[{shown}]"
        self.errors.append(ConfigFault(source, f"{where}: {text}"))

    def missing(self, source: SourceLine, title: str, key: str, text: str) -> None:
        """Report something missing, if the document is complete and the section's name valid."""
        if self.complete and title not in self.misnamed:
            self.complain(source, title, key, text)

    def values(self, title: str, cls: type, skip: frozenset[str] = frozenset()) -> Any:
        """Make ``cls`` from a section; ``None`` after errors."""
        section = self.document.get(title, IniSection(SourceLine("", 0)))
        options = {item.name: item for item in options_of(cls)}
        given: dict[str, Any] = {}
        complete = True
        for key, value in section.values.items():
            if key in skip:
                continue
            item = options.get(key)
            if item is None:
                removed = _REMOVED_KEYS.get((title, key))
                hint = f"; {removed}" if removed else _did_you_mean(key, [*options, *skip])
                self.complain(value.source, title, key, f"there is no such key{hint}")
                continue
            self.sources[title, key] = value.source
            try:
                given[key] = self._parse(item, value)
            except ListenerError:
                complete = False  # _check_section reports it, line by line
            except ValueError as error:
                text = _unquoted(item, value, str(error)) if item.secret else str(error)
                self.complain(value.source, title, key, text)
                complete = False
        for item in options.values():
            if item.required and item.name not in section.values:
                self.missing(section.source, title, item.name, "this key must be given")
                complete = False
        return cls(**given) if complete else None

    @staticmethod
    def _parse(item: Option, value: IniValue) -> Any:
        parsed = item.type.parse(value.text)
        directory = os.path.dirname(os.path.abspath(value.source.file))

        def absolute(path: str) -> str:
            # join() returns an absolute path unchanged
            return path if path.startswith(CREDENTIAL) else os.path.join(directory, path)

        if item.type is FILES:
            return tuple(absolute(path) for path in parsed)
        if parsed and item.type is FILE:
            return absolute(parsed)
        if parsed and item.type is PATH:
            return os.path.join(directory, parsed)
        if item.type.resolve is not None:
            return item.type.resolve(parsed, directory)
        return parsed

    def build(self) -> Settings:
        named: dict[str, type] = {"policy": PolicySettings, "tls": TLSSettings}
        single = self.single
        self._declare_sections()
        built: dict[str, Any] = {}
        for title, section in self.document.items():
            self.sources[title, ""] = section.source
            family, colon, name = title.partition(":")
            if title in single:
                continue
            if not colon or (family != "service" and family not in named):
                self._unknown_section(title, section)
                continue
            if _NAME.fullmatch(name) is None:
                self.misnamed.add(title)
                self.complain(
                    section.source,
                    title,
                    "",
                    "a name has lower-case letters, digits, dots, hyphens and underscores, "
                    "at most 63, and begins with a letter or digit",
                )
            if family in named:
                built[title] = self.values(title, named[family])
                if family == "tls":
                    self._check_authorities(title, section)
        settings = {title: self.values(title, cls) for title, cls in single.items()}
        if "policy:default" not in self.document:
            built["policy:default"] = PolicySettings()
        services = self._services(built)
        self._take_control(settings["tcpd"])
        for title, cls in single.items():
            self._check_section(title, cls, built)
        if self.errors:
            self._sort_errors()
            raise ConfigError(map(str, self.errors), (str(fault.source) for fault in self.errors))
        return Settings(
            tcpd=settings.pop("tcpd"),
            services=services,
            policies=_family(built, "policy"),
            tls=_family(built, "tls"),
            sections=settings,
            sources=self.sources,
        )

    def _declare_sections(self) -> None:
        """Add the sections that the kinds of services, and of unknown sections, declare."""
        declared_by = dict.fromkeys(self.single, "tcpd itself")
        for title, section in self.document.items():
            protocol = section.values.get("protocol")
            if not title.startswith("service:") or protocol is None:
                continue
            try:
                kind = self.kinds[protocol.text]
            except KeyError:  # _kind reports this and the next
                self.lacks_kind |= not _did_you_mean(protocol.text, self.kinds)
                continue
            except ValueError:
                self.lacks_kind = True
                continue
            self._declare(kind, declared_by, protocol.source, title, "protocol")
        unknown = {
            title: section
            for title, section in self.document.items()
            if title not in self.single and title.partition(":")[0] not in FAMILIES
        }
        if not unknown:
            return
        for name in self.kinds:
            try:
                kind = self.kinds[name]
            except ValueError:  # an error only if the configuration names it
                continue
            for title in unknown.keys() & sections_of(kind).keys():
                self._declare(kind, declared_by, unknown[title].source, title, "")

    def _declare(
        self,
        kind: KindOptions,
        declared_by: dict[str, str],
        source: SourceLine,
        title: str,
        key: str,
    ) -> None:
        """Add the sections of a kind.

        :param declared_by: by title, the protocol that declares the section.
        :param source: the source that errors name, with title and key.
        """
        for name, cls in sections_of(kind).items():
            other = self.single.setdefault(name, cls)
            by = declared_by.setdefault(name, f"protocol {kind.name}")
            if other is not cls:
                text = (
                    f"the section [{name}] is declared by {by} and, with other keys, by protocol "
                    f"{kind.name}; a configuration can have only one of them"
                )
                self.complain(source, title, key, text)

    def _unknown_section(self, title: str, section: IniSection) -> None:
        """Report an undeclared section, unless a kind that is not installed may declare it."""
        hint = _section_hint(title, [*self.single], [*FAMILIES])
        if self.lacks_kind and "did you mean" not in hint:
            return
        self.complain(section.source, title, "", f"there is no such section{hint}")

    def _check_authorities(self, title: str, section: IniSection) -> None:
        """Report ``client_certificate`` without ``client_ca``, as it would have no effect.

        An empty ``client_ca`` is accepted.
        """
        value = section.values.get("client_certificate")
        if value is not None and "client_ca" not in section.values:
            self.complain(
                value.source,
                title,
                "client_certificate",
                "this key has no effect without client_ca, the file of the authorities that sign "
                "client certificates",
            )

    def _sort_errors(self) -> None:
        files: dict[str, int] = {}
        for section in self.document.values():
            files.setdefault(section.source.file, len(files))
            for value in section.values.values():
                files.setdefault(value.source.file, len(files))
        for fault in self.errors:
            files.setdefault(fault.source.file, len(files))
        self.errors.sort(key=lambda fault: (files[fault.source.file], fault.source.line))

    def _services(self, built: Mapping[str, Any]) -> dict[str, ServiceSettings]:
        services: dict[str, ServiceSettings] = {}
        for title, section in self.document.items():
            family, colon, name = title.partition(":")
            if family != "service" or not colon:
                continue
            if name in RESERVED:
                self.misnamed.add(title)
                text = f"{name} is the name of an internal service; choose another name"
                self.complain(section.source, title, "", text)
            service = self._service(title, name, section, built)
            if service is not None:
                services[name] = service
        if self.complete and not any(title.startswith("service:") for title in self.document):
            source = next((section.source for section in self.document.values()), SourceLine("", 0))
            text = (
                "there is no [service:NAME] section, so nothing would be served; "
                "`twistd tcpd --print-config` shows some"
            )
            self.errors.append(ConfigFault(SourceLine(source.file or "configuration", 0), text))
        return services

    def _service(
        self,
        title: str,
        name: str,
        section: IniSection,
        built: Mapping[str, Any],
    ) -> ServiceSettings | None:
        for key, _type, _default, _doc in SERVICE_KEYS:
            if key in section.values:
                self.sources[title, key] = section.values[key].source
        kind = self._kind(title, section)
        if kind is not None:
            skip = frozenset(key for key, *_ in SERVICE_KEYS)
            options = self.values(title, kind.settings, skip)
        else:
            self._check_keys(title, section)
        # the keys of every service are checked without a kind, too
        listen = self._listeners(title, section, kind.words if kind else KIND_WORDS, built)
        policy = section.values.get("policy")
        policy_name = policy.text if policy else "default"
        if policy is not None:
            self._check_policy(title, policy, built)
        if kind is None:
            return None
        sections = tuple(sections_of(kind))
        return ServiceSettings(name, kind.name, listen, policy_name, options, sections)

    def _kind(self, title: str, section: IniSection) -> KindOptions | None:
        """Return the kind that ``protocol`` names; ``None`` after an error."""
        protocol = section.values.get("protocol")
        if protocol is None:
            # without a kind, a mistyped ``protocol`` is the only key that can be checked
            near = _meant_as_protocol(section)
            source = section.values[near].source if near else section.source
            hint = f"; did you mean protocol where it says {near}?" if near else ""
            self.missing(source, title, "protocol", f"this key must be given{hint}")
            return None
        try:
            return self.kinds[protocol.text]
        except KeyError:
            hint = _did_you_mean(protocol.text, self.kinds)
            if not hint:
                hint = f"; there are {', '.join(sorted(self.kinds))}"
            text = f"there is no protocol {protocol.text!r}{hint}"
        except ValueError as error:  # the kind cannot be loaded
            text = str(error)
        self.complain(protocol.source, title, "protocol", text)
        return None

    def _check_keys(self, title: str, section: IniSection) -> None:
        """Report keys that no kind has, in a service without a kind.

        The keys of a kind that is not installed or cannot be loaded are unknown, so any may be
        valid.
        """
        protocol = section.values.get("protocol")
        if protocol is not None and not _did_you_mean(protocol.text, self.kinds):
            return
        known = {key for key, *_ in SERVICE_KEYS}
        try:
            for name in self.kinds:
                known.update(item.name for item in options_of(self.kinds[name].settings))
        except ValueError:
            return
        reported = "" if protocol is not None else _meant_as_protocol(section)
        for key, value in section.values.items():
            if key not in known and key != reported:
                hint = _did_you_mean(key, sorted(known))
                self.complain(value.source, title, key, f"there is no such key{hint}")

    def _listeners(
        self,
        title: str,
        section: IniSection,
        words: Set[str],
        built: Mapping[str, Any],
    ) -> tuple[Listener, ...]:
        value = section.values.get("listen")
        if value is None or not value.lines:
            source = value.source if value else section.source
            self.missing(source, title, "listen", "at least one listener must be given")
            return ()
        listeners = []
        for line, source in value.lines:
            try:
                listener = parse_listener(line, words)
            except ListenerError as error:
                for sentence in error.sentences:
                    self.complain(source, title, "listen", sentence)
                continue
            listeners.append(listener)
            self._check_listener(title, listener, source, built)
        return tuple(listeners)

    def _check_section(self, title: str, cls: type, built: Mapping[str, Any]) -> None:
        """Check the policy and the listeners of a section other than a service."""
        section = self.document.get(title, IniSection(SourceLine("", 0)))
        for item in options_of(cls):
            value = section.values.get(item.name)
            if value is None:
                continue
            if item.type is POLICY:
                self._check_policy(title, value, built)
            elif item.type is LISTENERS:
                for line, source in value.lines:
                    try:
                        (listener,) = item.type.parse(line)
                    except ListenerError as error:
                        for sentence in error.sentences:
                            self.complain(source, title, item.name, sentence)
                        continue
                    self._check_listener(title, listener, source, built)

    def _take_control(self, tcpd: TcpdSettings | None) -> None:
        """Register the path of the control socket, if it is given."""
        value = self.document.get("tcpd", IniSection(SourceLine("", 0))).values.get("control")
        if value is not None and tcpd is not None and tcpd.control not in (AUTO, NONE):
            self._take("tcpd", "control", Listener(UnixSocket(tcpd.control, 0)), value.source)

    def _check_policy(self, title: str, policy: IniValue, built: Mapping[str, Any]) -> None:
        if f"policy:{policy.text}" not in built:
            names = [other.partition(":")[2] for other in built if other.startswith("policy:")]
            hint = _did_you_mean(policy.text, names)
            text = f"there is no [policy:{policy.text}]{hint}"
            self.missing(policy.source, title, "policy", text)

    def _check_listener(
        self, title: str, listener: Listener, source: SourceLine, built: Mapping[str, Any]
    ) -> None:
        for word in (listener.tls, listener.starttls):
            if word and f"tls:{word}" not in built:
                names = [other.partition(":")[2] for other in built if other.startswith("tls:")]
                hint = _did_you_mean(word, names)
                self.missing(source, title, "listen", f"there is no [tls:{word}]{hint}")
        self._take(title, "listen", listener, source)

    def _take(self, title: str, key: str, listener: Listener, source: SourceLine) -> None:
        """Register a listener, or report a conflict with a registered one."""
        spot = spot_of(listener)
        if spot is None:
            return
        where = listener.bind
        taken = self.taken.setdefault(spot, [])
        for other, section, at in taken:
            if str(other) == str(where):
                self.complain(source, title, key, f"{where} is already taken by [{section}]")
                return
            why = overlap(other, where)
            if why:
                text = f"{where} cannot be open beside {other} of [{section}] ({at}): {why}"
                self.complain(source, title, key, text)
                return
        taken.append((where, title, source))


def _family(built: Mapping[str, Any], family: str) -> dict[str, Any]:
    found = {}
    for title, settings in built.items():
        first, _, name = title.partition(":")
        if first == family:
            found[name] = settings
    return found


def _section_hint(title: str, single: list[str], families: list[str]) -> str:
    """Suggest a known section for a title."""
    family, colon, name = title.strip().partition(":")
    family = family.strip().lower()
    if colon:
        near = difflib.get_close_matches(family, families, 1)
        if near:
            return f"; did you mean [{near[0]}:{name[:_SHOWN]}]?"
    near = difflib.get_close_matches(family, single, 1)
    if near:
        return f"; did you mean [{near[0]}]?"
    near = difflib.get_close_matches(family, families, 1)
    if near:
        return f"; did you mean [{near[0]}:NAME]?"
    known = [*single, *(f"{word}:NAME" for word in families)]
    return f"; there are {', '.join(known)}"


def build(
    document: Document,
    kinds: Mapping[str, KindOptions],
    sections: Mapping[str, type],
    faults: Sequence[ConfigFault] = (),
) -> Settings:
    """Make settings from a document.

    :param kinds: the kinds by name; looked up only for names in the document. Its ``[]`` raises
        :class:`ValueError` with a sentence for a kind that cannot be loaded.
    :param sections: by title, the daemon's sections and their settings dataclasses.
    :param faults: errors of the parser; with any, missing keys and sections are not reported, as
        they may be in the invalid lines.
    :raise ConfigError: with all errors, in the order of files and lines.
    """
    return _Builder(document, kinds, sections, faults).build()
