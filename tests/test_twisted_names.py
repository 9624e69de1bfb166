"""What tcpd uses of libraries is public; what is not is one name, in one place."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import select
from functools import cache
from pathlib import Path

import pytest

import tcpd

ROOT = Path(tcpd.__file__).parent

#: By module, the private names of others' that it uses.
#:
#: ``_internalReaders``: IReactorFDSet.removeAll leaves out what is the reactor's own, as its waker;
#: there is no public way to ask a PosixReactorBase for these.
#:
#: ``_actions`` and what goes with it: argparse has no public way to ask a parser what it takes, and
#: a completion, or a guess at a mistyped word, that is written beside it by hand would drift.
#:
#: ``os._exit`` is public, for all its name.
KNOWN = {
    Path("net/reactor.py"): {"_internalReaders"},
    Path("daemon/stop_signals.py"): {"_exit"},
    Path("ctl/arguments.py"): {"_actions"},
    Path("ctl/completion/table.py"): {"_SubParsersAction", "_actions", "_choices_actions"},
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
    """tcpd's modules, by path."""
    return {path.relative_to(ROOT): ast.parse(path.read_text()) for path in ROOT.rglob("*.py")}


@cache
def ours() -> set[str]:
    """Private names that tcpd gives to something somewhere, slots included."""
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
    """Private names in a module that tcpd gave to nothing, or imported from a library."""
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


def test_no_private_name_of_a_library_is_used_but_in_one_place() -> None:
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
def test_such_a_name_would_be_found(source: str) -> None:
    assert foreign_names(ast.parse(source), ours())


def classes() -> list[type]:
    """All classes of tcpd."""
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
    """Private names that a class gives to what is in it, and to what it sets on its instances."""
    found = {name for name in vars(each) if private(name)}
    try:
        tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(each)))
    except (OSError, TypeError):  # it is not written in Python
        return found
    return (found - {"_abc_impl", "_is_protocol"}) | {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        if private(node.attr)
    }


def test_no_private_name_of_ours_is_one_of_a_base_class() -> None:
    """Else the base class would find ours in place of its own."""
    looked = 0
    for each in classes():
        bases = [base for base in each.__mro__[1:] if base.__module__.startswith(LIBRARIES)]
        own = names_of(each) if bases else set()
        for base in bases:
            looked += 1
            assert not own & names_of(base), f"{each} and {base}"
    assert looked > 20


def test_the_readers_of_a_reactors_own_are_still_where_they_were() -> None:
    """:data:`KNOWN`: a PosixReactorBase holds its waker there, and nothing else."""
    if not hasattr(select, "epoll"):
        pytest.skip("our reactor needs epoll")
    from tcpd.net.reactor import TcpdReactor

    reactor = TcpdReactor()
    try:
        own = reactor._internalReaders
        assert reactor.waker in own
        assert set(reactor.getReaders()) == own
        assert reactor.removeAll() == []
        assert set(reactor.getReaders()) == own
    finally:
        for each in list(reactor._internalReaders):
            reactor.removeReader(each)
            each.connectionLost(None)
