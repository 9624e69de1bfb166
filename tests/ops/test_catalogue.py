"""Emitters, catalogue and reference page agree."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from string import Formatter

import pytest
from twisted.logger import LogEvent, Logger, LogLevel, LogPublisher, formatEvent

import tcpd
from tcpd.ops import catalogue
from tcpd.ops.catalogue import CATALOGUE, EventType

ROOT = Path(tcpd.__file__).parent
PAGE = ROOT.parent / "docs" / "reference" / "events.rst"

CONSTANTS = {name: value for name, value in vars(catalogue).items() if isinstance(value, EventType)}

#: The methods of an EventType that log or make it.
REPORTING = ("emit", "fail", "make")


@cache
def emissions() -> list[tuple[str, str, ast.Call]]:
    return list(_emissions())


def _emissions() -> Iterator[tuple[str, str, ast.Call]]:
    """All calls that emit an event: location, name in the catalogue, call."""
    for path in sorted(ROOT.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            event = node.func.value
            name = getattr(event, "attr", None) or getattr(event, "id", "")
            if node.func.attr in REPORTING and name.isupper():
                yield f"{path.relative_to(ROOT)}:{node.lineno}", name, node


def test_emissions_pass_exactly_the_fields_of_an_entry() -> None:
    assert emissions()
    for where, name, call in emissions():
        assert name in CONSTANTS, f"{where}: there is no such event in the catalogue"
        passed = [keyword.arg for keyword in call.keywords if keyword.arg != "failure"]
        assert None not in passed, f"{where}: fields are written out, not passed as **"
        assert set(passed) == set(CONSTANTS[name].fields), where


@pytest.mark.parametrize("name", CONSTANTS)
def test_each_entry_is_emitted(name: str) -> None:
    assert name in {emitted for _, emitted, _ in emissions()}


@pytest.mark.parametrize("name", CONSTANTS)
def test_each_constant_is_named_for_its_id(name: str) -> None:
    event = CONSTANTS[name]
    assert re.fullmatch(r"[a-z]+(\.[a-z]+(-[a-z]+)*)+", event.id)
    assert name == re.sub(r"[.-]", "_", event.id).upper()
    assert CATALOGUE[event.id] is event


def test_ids_are_unique() -> None:
    assert len(CATALOGUE) == len(CONSTANTS)


@pytest.mark.parametrize("event", CATALOGUE.values(), ids=lambda event: event.id)
def test_sentence_uses_fields_of_the_entry(event: EventType) -> None:
    used = {name for _, name, _, _ in Formatter().parse(event.text) if name}
    assert used <= set(event.fields)
    # reserved for Twisted and observers
    assert not [name for name in event.fields if name.startswith("log_")]
    assert not {"event_id", "failure", "message", "time", "system"} & set(event.fields)
    assert event.level in LogLevel.iterconstants()
    assert event.doc.endswith(".")


@pytest.mark.parametrize("event", CATALOGUE.values(), ids=lambda event: event.id)
def test_page_has_each_event(event: EventType) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert re.search(rf"^{re.escape(event.id)}$", text, re.M)
    for field in event.fields:
        assert f"``{field}``" in text


def test_page_has_no_other_event() -> None:
    text = PAGE.read_text(encoding="utf-8")
    headings = re.findall(r"^([a-z]+\.[a-z.-]+)\n-+$", text, re.M)
    assert headings == list(CATALOGUE)


def observed(log_to: LogPublisher) -> list[LogEvent]:
    seen: list[LogEvent] = []
    log_to.addObserver(seen.append)  # type: ignore[arg-type]
    return seen


def test_emission_is_a_log_event_with_an_id() -> None:
    publisher = LogPublisher()
    seen = observed(publisher)
    catalogue.SERVICE_LISTENING.emit(
        Logger(observer=publisher), service="echo", listener="127.0.0.1:7007"
    )
    (event,) = seen
    assert event["event_id"] == "service.listening"
    assert event["log_level"] is LogLevel.info
    assert formatEvent(event) == "service echo: listening on 127.0.0.1:7007"


def test_fail_logs_the_current_exception() -> None:
    publisher = LogPublisher()
    seen = observed(publisher)
    try:
        raise ValueError("broken")
    except ValueError:
        catalogue.DATAGRAM_FAILED.fail(Logger(observer=publisher), service="echo")
    assert seen[0]["log_failure"].value.args == ("broken",)
