"""tcpd uses public names of libraries only, with the exceptions in :data:`KNOWN`."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import select
from functools import cache
from pathlib import Path

import pytest
import reactors

import tcpd

ROOT = Path(tcpd.__file__).parent

#: Private names of libraries that tcpd uses, by module.
#:
#: ``_internalReaders``: IReactorFDSet.removeAll excludes the reactor's own descriptors, such as its
#: waker; PosixReactorBase has no public name for them.
#:
#: ``_actions``: argparse has no public way to list a parser's arguments; a list written by hand for
#: completions and suggestions would become outdated.
#:
#: ``os._exit`` is public.
KNOWN = {
    Path("net/reactor.py"): {"_internalReaders"},
    Path("daemon/stop_signals.py"): {"_exit"},
    Path("ctl/arguments.py"): {"_actions"},
}

LIBRARIES = (
    "twisted",
    "OpenSSL",
    "zope",
    "cryptography",
    "service_identity",
    "prometheus_client",
    "wsproto",
    "h11",
)


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


@cache
def trees() -> dict[Path, ast.Module]:
    """Return the syntax trees of tcpd's modules, by path."""
    return {path.relative_to(ROOT): ast.parse(path.read_text()) for path in ROOT.rglob("*.py")}


@cache
def ours() -> set[str]:
    """Return the private names that tcpd defines, slots included."""
    found: set[str] = set()
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                found.add(node.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def foreign_names(tree: ast.Module, own: set[str]) -> set[str]:
    """Return the private names in a module that tcpd does not define, or imports from a library."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and private(node.attr) and node.attr not in own:
            found.add(node.attr)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(LIBRARIES):
            names = [*(node.module or "").split("."), *(each.name for each in node.names)]
            found.update(name for name in names if private(name))
        elif isinstance(node, ast.Import):
            names = [part for each in node.names for part in each.name.split(".")]
            found.update(name for name in names if private(name))
    return found


def test_private_names_of_libraries_are_the_known_ones() -> None:
    """ "No private attribute of Twisted is used where a public way exists; where one is, it is in
    one place with a test that fails when it changes."""
    own = ours()
    found = {path: names for path, tree in trees().items() if (names := foreign_names(tree, own))}
    assert found == KNOWN


@pytest.mark.parametrize(
    "source",
    [
        "transport._tempDataBuffer",
        "from twisted.internet._newtls import x",
        "from twisted.internet.tcp import _SomeClass",
        "import twisted.internet._newtls",
    ],
)
def test_private_names_of_libraries_are_detected(source: str) -> None:
    assert foreign_names(ast.parse(source), ours())


def classes() -> list[type]:
    """Return all classes of tcpd."""
    found = []
    for module in pkgutil.walk_packages([str(ROOT)], "tcpd."):
        if module.name.endswith("__main__"):
            continue  # it starts a daemon
        loaded = importlib.import_module(module.name)
        found += [
            each
            for each in vars(loaded).values()
            if inspect.isclass(each) and each.__module__ == module.name
        ]
    return found


def names_of(each: type) -> set[str]:
    """Return the private names that a class defines, and those it sets on its instances."""
    found = {name for name in vars(each) if private(name)}
    try:
        tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(each)))
    except (OSError, TypeError):  # not written in Python
        return found
    return (found - {"_abc_impl", "_is_protocol"}) | {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        if private(node.attr)
    }


def test_private_names_do_not_shadow_those_of_base_classes() -> None:
    compared = 0
    for each in classes():
        bases = [base for base in each.__mro__[1:] if base.__module__.startswith(LIBRARIES)]
        own = names_of(each) if bases else set()
        for base in bases:
            compared += 1
            assert not own & names_of(base), f"{each} and {base}"
    assert compared > 20


def test_internal_readers_of_the_reactor_are_its_waker() -> None:
    """:data:`KNOWN`: ``_internalReaders`` of a PosixReactorBase contains its waker alone."""
    if not hasattr(select, "epoll"):
        pytest.skip("tcpd's reactor requires epoll")
    from tcpd.net.reactor import TcpdReactor

    reactor = TcpdReactor()
    try:
        own = reactor._internalReaders
        assert reactor.waker in own
        assert set(reactor.getReaders()) == own
        assert reactor.removeAll() == []
        assert set(reactor.getReaders()) == own
    finally:
        reactors.close(reactor)
