"""Layers of the source tree: which module may import which.

A module imports only lower layers, packages of one layer do not import each other, there are no
import cycles, and sans-IO modules do not import twisted.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import pytest

import tcpd

ROOT = Path(tcpd.__file__).parent

LAYERS = {
    "interfaces": 0,
    "events": 0,
    "policy": 1,
    "ops": 1,
    "wire": 1,
    "handshake": 1,
    "http": 1,
    "config": 2,
    "eventlog": 3,
    "store": 3,
    "net": 3,
    "lines": 3,
    "small": 4,
    "relay": 4,
    "line": 4,
    "chat": 4,
    "web": 4,
    "daemon": 5,
    "api": 6,
    "tap": 6,
    "ctl": 6,
    "__main__": 6,
}

#: Packages and modules that do not import twisted.
SANS_IO = (
    "events",
    "policy",
    "ops/counters",
    "wire",
    "handshake",
    "http",
    "config",
    "ctl",
    "lines/linebuffer",
    "line/reply",
    "line/command",
    "line/session",
    "line/builtin",
    "line/handshake",
    "line/watch",
    "chat/conversation",
    "chat/fanout",
    "chat/format",
    "chat/hosts",
    "chat/hub",
    "chat/irc/caps",
    "chat/irc/client",
    "chat/irc/commands/about",
    "chat/irc/commands/channels",
    "chat/irc/commands/command",
    "chat/irc/commands/connection",
    "chat/irc/commands/handshake",
    "chat/irc/commands/help",
    "chat/irc/commands/messages",
    "chat/irc/commands/moderation",
    "chat/irc/commands/modes",
    "chat/irc/commands/monitor",
    "chat/irc/commands/multiline",
    "chat/irc/commands/presence",
    "chat/irc/commands/refusals",
    "chat/irc/commands/registering",
    "chat/irc/commands/server_facts",
    "chat/irc/commands/who",
    "chat/irc/commands/whois",
    "chat/irc/commands/wrapping",
    "chat/irc/credentials",
    "chat/irc/dispatch",
    "chat/irc/isupport",
    "chat/irc/listing",
    "chat/irc/message",
    "chat/irc/multiline_batch",
    "chat/irc/numerics",
    "chat/irc/parse_errors",
    "chat/irc/passwords",
    "chat/irc/registration",
    "chat/irc/render",
    "chat/irc/reply",
    "chat/irc/server",
    "chat/irc/settings",
    "chat/irc/sts",
    "chat/irc/text_port_hint",
    "chat/irc/user_modes",
    "chat/masks",
    "chat/moderation",
    "chat/monitor",
    "chat/names",
    "chat/outbox",
    "chat/people",
    "chat/permissions",
    "chat/refused",
    "chat/room",
    "chat/settings",
    "chat/speaking",
    "chat/split",
    "chat/state",
    "chat/text/commands",
    "chat/text/conversation",
    "chat/text/parse",
    "chat/text/render",
    "chat/text/server",
    "chat/text/settings",
    "chat/verbs",
    "chat/whowas",
    "net/websocket_messages",
    "net/websocket_settings",
    "net/websocket_upgrade",
    "relay/forward_settings",
    "relay/target",
)

MODULES = sorted(
    str(path.relative_to(ROOT).with_suffix(""))
    for path in ROOT.rglob("*.py")
    if path.relative_to(ROOT) != Path("__init__.py")
)


@cache
def imported(module: str) -> set[str]:
    """Return the modules that a module imports at any place, for type checking included."""
    tree = ast.parse((ROOT / f"{module}.py").read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            assert node.module is not None
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("module", MODULES)
def test_modules_import_only_lower_layers(module: str) -> None:
    package = module.partition("/")[0]
    assert package in LAYERS, f"{package} needs a layer"
    for name in imported(module):
        if not name.startswith("tcpd."):
            continue
        other = name.split(".")[1]
        if other not in LAYERS:
            continue
        assert other == package or LAYERS[other] < LAYERS[package], f"{module} imports {name}"


def imported_modules(module: str) -> set[str]:
    """Return the paths of the modules of tcpd that a module imports."""
    paths = (name.removeprefix("tcpd.").replace(".", "/") for name in imported(module))
    return {found for path in paths for found in (path, f"{path}/__init__") if found in MODULES}


def cycles(modules: Iterable[str], imports: Callable[[str], set[str]]) -> list[str]:
    """Return the shortest import cycle through each module, as ``a -> b -> a``.

    :param imports: returns the modules that a module imports.
    """
    found: dict[frozenset[str], str] = {}
    for start in sorted(modules):
        paths = [[start]]
        seen: set[str] = set()
        while paths:  # breadth first: the first path back to the start is the shortest
            path = paths.pop(0)
            after = sorted(imports(path[-1]) - {path[-1]})
            if start in after:
                found.setdefault(frozenset(path), " -> ".join([*path, start]))
                break
            paths += [[*path, each] for each in after if each not in seen]
            seen.update(after)
    return sorted(found.values(), key=len)


def test_cycles_are_found_and_shown_as_paths() -> None:
    graph = {"a": {"a", "b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert cycles(graph, graph.__getitem__) == ["d -> e -> d", "a -> b -> c -> a"]


@pytest.mark.parametrize("package", sorted(LAYERS))
def test_no_import_cycles(package: str) -> None:
    """Type-checking imports included. No cycle crosses packages: imports go to lower layers."""
    modules = [module for module in MODULES if module.partition("/")[0] == package]
    found = cycles(modules, imported_modules)
    assert not found, "import cycles:\n" + "\n".join(found)


@pytest.mark.parametrize("module", MODULES)
def test_sans_io_modules_do_not_import_twisted(module: str) -> None:
    if any(module == name or module.startswith(f"{name}/") for name in SANS_IO):
        assert not {name for name in imported(module) if name.partition(".")[0] == "twisted"}


@pytest.mark.parametrize("name", SANS_IO)
def test_listed_sans_io_modules_exist(name: str) -> None:
    assert any(module == name or module.startswith(f"{name}/") for module in MODULES)


def test_config_imports_only_the_standard_library() -> None:
    for module in MODULES:
        if module.startswith("config/"):
            tops = {name.partition(".")[0] for name in imported(module)}
            assert not tops & {"twisted", "zope", "OpenSSL", "cryptography"}


def test_the_global_reactor_is_imported_in_one_place() -> None:
    assert [module for module in MODULES if "twisted.internet.reactor" in imported(module)] == [
        "tap"
    ]


def test_plugin_directories_have_no_init() -> None:
    """An ``__init__.py`` there would hide Twisted."""
    plugins = ROOT.parent / "twisted"
    assert not list(plugins.rglob("__init__.py"))
