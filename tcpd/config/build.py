"""A document to settings, with everything that is wrong told at once."""

from __future__ import annotations

import difflib
import os.path
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from tcpd.config.errors import ConfigError
from tcpd.config.fields import Option, options_of
from tcpd.config.ini import Document, Fault, Place, Section, Value
from tcpd.config.listen import (
    KIND_WORDS,
    LISTENERS,
    Listener,
    ListenerError,
    UnixSocket,
    parse_listener,
)
from tcpd.config.listen import Place as ListenPlace
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

#: What the daemon calls services of its own; no [service:NAME] may be called so, lest logs and
#: counters mean two things by one name.
RESERVED = frozenset({"control", "metrics"})

# what is long enough to be known again
_PIECE = re.compile(r"[^\s,;:=/@'\"]{3,}")

#: How many characters of a section's name a complaint shows.
_SHOWN = 80

#: Keys that every service has, beside its kind's own: (name, type, default, meaning).
SERVICE_KEYS = (
    ("protocol", "name of a protocol", None, "Protocol that the service speaks."),
    ("listen", "listeners", None, "Its listeners, one a line."),
    ("policy", "name of a policy", "default", "NAME of its [policy:NAME]."),
)

#: Sections that can be there several times, as ``[FAMILY:NAME]``.
FAMILIES = ("policy", "tls", "service")

#: Keys of earlier versions: (section, key), and what the complaint says.
_REMOVED_KEYS = {
    ("tcpd", "transport"): "it was removed; delete the line",
}


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word.lower(), list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""


def _meant_as_protocol(section: Section) -> str:
    """The key that is a mistyped ``protocol``; empty for none."""
    return next((key for key in section.values if _did_you_mean(key, ["protocol"])), "")


def _unquoted(item: Option, value: Value, sentence: str) -> str:
    """What is wrong with a secret, if nothing of it stands in there."""
    if any(piece in sentence for piece in _PIECE.findall(value.text)):
        return f"what stands here is not {item.type.name}; it is not shown, for it is a secret"
    return sentence


class _Builder:
    """Collects settings and complaints in one walk over a document.

    One fault hides no other: what does not depend on a faulty value is checked all the same.
    """

    def __init__(
        self,
        document: Document,
        kinds: Mapping[str, KindOptions],
        sections: Mapping[str, type],
        faults: Sequence[Fault],
    ) -> None:
        self.document = document
        self.kinds = kinds
        #: Sections that can be there once, by title, with their settings dataclasses.
        self.single: dict[str, type] = {"tcpd": TcpdSettings, **sections}
        #: Whether a service names a kind that is not installed or cannot be loaded.
        self.lacks_kind = False
        self.errors = list(faults)
        # what is missing may stand in a line, or a file, that could not be read
        self.complete = not faults
        self.misnamed: set[str] = set()
        self.places: dict[tuple[str, str], Place] = {}
        # who listens where
        self.taken: dict[Spot, list[tuple[ListenPlace, str, Place]]] = {}

    def complain(self, place: Place, title: str, key: str, text: str) -> None:
        shown = title if len(title) <= _SHOWN else f"{title[:_SHOWN]}..."
        where = f"[{shown}] {key}" if key else f"[{shown}]"
        self.errors.append(Fault(place, f"{where}: {text}"))

    def missing(self, place: Place, title: str, key: str, text: str) -> None:
        """Complain of something that is not there, where all could be read.

        A section that has to be named anew gets no complaints but of what stands in it.
        """
        if self.complete and title not in self.misnamed:
            self.complain(place, title, key, text)

    def values(self, title: str, cls: type, skip: frozenset[str] = frozenset()) -> Any:
        """Make ``cls`` from a section; ``None`` if that cannot be done."""
        section = self.document.get(title, Section(Place("", 0)))
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
                self.complain(value.place, title, key, f"there is no such key{hint}")
                continue
            self.places[title, key] = value.place
            try:
                given[key] = self._parse(item, value)
            except ListenerError:
                complete = False  # _check_section complains, line by line
            except ValueError as error:
                text = _unquoted(item, value, str(error)) if item.secret else str(error)
                self.complain(value.place, title, key, text)
                complete = False
        for item in options.values():
            if item.required and item.name not in section.values:
                self.missing(section.place, title, item.name, "this key must be given")
                complete = False
        return cls(**given) if complete else None

    @staticmethod
    def _parse(item: Option, value: Value) -> Any:
        parsed = item.type.parse(value.text)
        directory = os.path.dirname(os.path.abspath(value.place.file))

        def absolute(path: str) -> str:
            # join() leaves alone what is absolute
            return path if path.startswith(CREDENTIAL) else os.path.join(directory, path)

        if item.type is FILES:
            return tuple(absolute(path) for path in parsed)
        if parsed and item.type is FILE:
            return absolute(parsed)
        if parsed and item.type is PATH:
            return os.path.join(directory, parsed)
        if item.type.place is not None:
            return item.type.place(parsed, directory)
        return parsed

    def build(self) -> Settings:
        named: dict[str, type] = {"policy": PolicySettings, "tls": TLSSettings}
        single = self.single
        self._declare_sections()
        built: dict[str, Any] = {}
        for title, section in self.document.items():
            self.places[title, ""] = section.place
            family, colon, name = title.partition(":")
            if title in single:
                continue
            if not colon or (family != "service" and family not in named):
                self._unknown_section(title, section)
                continue
            if _NAME.fullmatch(name) is None:
                self.misnamed.add(title)
                self.complain(
                    section.place,
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
            raise ConfigError(map(str, self.errors), (str(fault.place) for fault in self.errors))
        return Settings(
            tcpd=settings.pop("tcpd"),
            services=services,
            policies=_family(built, "policy"),
            tls=_family(built, "tls"),
            sections=settings,
            places=self.places,
        )

    def _declare_sections(self) -> None:
        """Add the sections that kinds declare: those of services, and those that stand here."""
        declared_by = dict.fromkeys(self.single, "tcpd itself")
        for title, section in self.document.items():
            protocol = section.values.get("protocol")
            if not title.startswith("service:") or protocol is None:
                continue
            try:
                kind = self.kinds[protocol.text]
            except KeyError:  # _kind complains, as of the next
                self.lacks_kind |= not _did_you_mean(protocol.text, self.kinds)
                continue
            except ValueError:
                self.lacks_kind = True
                continue
            self._declare(kind, declared_by, protocol.place, title, "protocol")
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
            except ValueError:  # it hurts only the configuration that names it
                continue
            for title in unknown.keys() & sections_of(kind).keys():
                self._declare(kind, declared_by, unknown[title].place, title, "")

    def _declare(
        self, kind: KindOptions, declared_by: dict[str, str], place: Place, title: str, key: str
    ) -> None:
        """Add the sections of a kind.

        :param declared_by: by title, the protocol that has declared the section.
        :param place: for complaints, as are title and key.
        """
        for name, cls in sections_of(kind).items():
            other = self.single.setdefault(name, cls)
            by = declared_by.setdefault(name, f"protocol {kind.name}")
            if other is not cls:
                text = (
                    f"the section [{name}] is declared by {by} and, with other keys, by protocol "
                    f"{kind.name}; a configuration can have only one of them"
                )
                self.complain(place, title, key, text)

    def _unknown_section(self, title: str, section: Section) -> None:
        """Complain of a section that nothing declares, unless a missing kind may declare it."""
        hint = _section_hint(title, [*self.single], [*FAMILIES])
        if self.lacks_kind and "did you mean" not in hint:
            return
        self.complain(section.place, title, "", f"there is no such section{hint}")

    def _check_authorities(self, title: str, section: Section) -> None:
        """Refuse ``client_certificate`` on its own: who writes it must not believe it does a thing.

        ``client_ca =`` with nothing behind it is taken for an answer.
        """
        value = section.values.get("client_certificate")
        if value is not None and "client_ca" not in section.values:
            self.complain(
                value.place,
                title,
                "client_certificate",
                "no client is asked for a certificate without client_ca; name the file of the "
                "authorities that sign theirs there",
            )

    def _sort_errors(self) -> None:
        files: dict[str, int] = {}
        for section in self.document.values():
            files.setdefault(section.place.file, len(files))
            for value in section.values.values():
                files.setdefault(value.place.file, len(files))
        for fault in self.errors:
            files.setdefault(fault.place.file, len(files))
        self.errors.sort(key=lambda fault: (files[fault.place.file], fault.place.line))

    def _services(self, built: Mapping[str, Any]) -> dict[str, ServiceSettings]:
        services: dict[str, ServiceSettings] = {}
        for title, section in self.document.items():
            family, colon, name = title.partition(":")
            if family != "service" or not colon:
                continue
            if name in RESERVED:
                self.misnamed.add(title)
                text = f"{name} is what the daemon calls a service of its own; take another name"
                self.complain(section.place, title, "", text)
            service = self._service(title, name, section, built)
            if service is not None:
                services[name] = service
        if self.complete and not any(title.startswith("service:") for title in self.document):
            place = next((section.place for section in self.document.values()), Place("", 0))
            text = (
                "there is no [service:NAME] section, so nothing would be served; "
                "`twistd tcpd --print-config` shows some"
            )
            self.errors.append(Fault(Place(place.file or "configuration", 0), text))
        return services

    def _service(
        self,
        title: str,
        name: str,
        section: Section,
        built: Mapping[str, Any],
    ) -> ServiceSettings | None:
        for key, _type, _default, _doc in SERVICE_KEYS:
            if key in section.values:
                self.places[title, key] = section.values[key].place
        kind = self._kind(title, section)
        if kind is not None:
            skip = frozenset(key for key, *_ in SERVICE_KEYS)
            options = self.values(title, kind.settings, skip)
        else:
            self._check_keys(title, section)
        # what every service has is checked without a kind, too
        listen = self._listeners(title, section, kind.words if kind else KIND_WORDS, built)
        policy = section.values.get("policy")
        policy_name = policy.text if policy else "default"
        if policy is not None:
            self._check_policy(title, policy, built)
        if kind is None:
            return None
        sections = tuple(sections_of(kind))
        return ServiceSettings(name, kind.name, listen, policy_name, options, sections)

    def _kind(self, title: str, section: Section) -> KindOptions | None:
        """The kind that ``protocol`` names; ``None`` behind a complaint where it names none."""
        protocol = section.values.get("protocol")
        if protocol is None:
            # a mistyped key is told where it stands; without a kind no other key can be
            near = _meant_as_protocol(section)
            place = section.values[near].place if near else section.place
            hint = f"; did you mean protocol where it says {near}?" if near else ""
            self.missing(place, title, "protocol", f"this key must be given{hint}")
            return None
        try:
            return self.kinds[protocol.text]
        except KeyError:
            hint = _did_you_mean(protocol.text, self.kinds)
            if not hint:
                hint = f"; there are {', '.join(sorted(self.kinds))}"
            text = f"there is no protocol {protocol.text!r}{hint}"
        except ValueError as error:  # it is there, but cannot be loaded
            text = str(error)
        self.complain(protocol.place, title, "protocol", text)
        return None

    def _check_keys(self, title: str, section: Section) -> None:
        """Complain of keys that no kind has, in a service without one.

        Nobody knows the keys of a kind that is not installed or cannot be loaded: any key may be
        right then.
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
                self.complain(value.place, title, key, f"there is no such key{hint}")

    def _listeners(
        self,
        title: str,
        section: Section,
        words: Set[str],
        built: Mapping[str, Any],
    ) -> tuple[Listener, ...]:
        value = section.values.get("listen")
        if value is None or not value.lines:
            place = value.place if value else section.place
            self.missing(place, title, "listen", "at least one listener must be given")
            return ()
        listeners = []
        for line, place in value.lines:
            try:
                listener = parse_listener(line, words)
            except ListenerError as error:
                for sentence in error.sentences:
                    self.complain(place, title, "listen", sentence)
                continue
            listeners.append(listener)
            self._check_listener(title, listener, place, built)
        return tuple(listeners)

    def _check_section(self, title: str, cls: type, built: Mapping[str, Any]) -> None:
        """Check the names in a section that is no service, and where it listens."""
        section = self.document.get(title, Section(Place("", 0)))
        for item in options_of(cls):
            value = section.values.get(item.name)
            if value is None:
                continue
            if item.type is POLICY:
                self._check_policy(title, value, built)
            elif item.type is LISTENERS:
                for line, place in value.lines:
                    try:
                        (listener,) = item.type.parse(line)
                    except ListenerError as error:
                        for sentence in error.sentences:
                            self.complain(place, title, item.name, sentence)
                        continue
                    self._check_listener(title, listener, place, built)

    def _take_control(self, tcpd: TcpdSettings | None) -> None:
        """Note the path of the control socket, where it is given."""
        value = self.document.get("tcpd", Section(Place("", 0))).values.get("control")
        if value is not None and tcpd is not None and tcpd.control not in (AUTO, NONE):
            self._take("tcpd", "control", Listener(UnixSocket(tcpd.control, 0)), value.place)

    def _check_policy(self, title: str, policy: Value, built: Mapping[str, Any]) -> None:
        if f"policy:{policy.text}" not in built:
            names = [other.partition(":")[2] for other in built if other.startswith("policy:")]
            hint = _did_you_mean(policy.text, names)
            text = f"there is no [policy:{policy.text}]{hint}"
            self.missing(policy.place, title, "policy", text)

    def _check_listener(
        self, title: str, listener: Listener, place: Place, built: Mapping[str, Any]
    ) -> None:
        for word in (listener.tls, listener.starttls):
            if word and f"tls:{word}" not in built:
                names = [other.partition(":")[2] for other in built if other.startswith("tls:")]
                hint = _did_you_mean(word, names)
                self.missing(place, title, "listen", f"there is no [tls:{word}]{hint}")
        self._take(title, "listen", listener, place)

    def _take(self, title: str, key: str, listener: Listener, place: Place) -> None:
        """Note where something listens; complain if that cannot be, beside what is noted."""
        spot = spot_of(listener)
        if spot is None:
            return
        where = listener.place
        taken = self.taken.setdefault(spot, [])
        for other, section, at in taken:
            if str(other) == str(where):
                self.complain(place, title, key, f"{where} is already taken by [{section}]")
                return
            why = overlap(other, where)
            if why:
                text = f"{where} cannot be open beside {other} of [{section}] ({at}): {why}"
                self.complain(place, title, key, text)
                return
        taken.append((where, title, place))


def _family(built: Mapping[str, Any], family: str) -> dict[str, Any]:
    found = {}
    for title, settings in built.items():
        first, _, name = title.partition(":")
        if first == family:
            found[name] = settings
    return found


def _section_hint(title: str, single: list[str], families: list[str]) -> str:
    """What a section may have been meant to be."""
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
    faults: Sequence[Fault] = (),
) -> Settings:
    """Make settings from a document.

    :param kinds: by name; looked up only for the names that the document uses. Its ``[]`` raises
        :class:`ValueError` with a sentence for a kind that is there and cannot be loaded.
    :param sections: by title, further sections and their settings dataclasses.
    :param faults: what was wrong with the text of the document; where there is any, nothing is said
        of what is missing, for it may stand where the fault is.
    :raise ConfigError: with all that is wrong, in the order of files and lines.
    """
    return _Builder(document, kinds, sections, faults).build()
