"""What the tests of installs share: these fixtures need a package index, once."""

from __future__ import annotations

from pathlib import Path

import installing
import pytest
from installing import Distributions, Environment


@pytest.fixture(scope="session")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with wheels of what tcpd requires and of what builds it, not of tcpd."""
    directory = tmp_path_factory.mktemp("wheelhouse")
    error = installing.download(directory)
    if error:
        pytest.skip(f"no package index gave what tcpd requires: {error[-500:]}")
    return directory


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the checkout, as fresh as a clone."""
    return installing.copy_checkout(tmp_path / "tcpd")


@pytest.fixture
def environment(tmp_path: Path, wheelhouse: Path) -> Environment:
    """A new virtual environment, whose pip has the wheelhouse for an index."""
    return Environment(tmp_path, wheelhouse)


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory, wheelhouse: Path) -> Distributions:
    """Build all three, each in a tree of its own."""
    top = tmp_path_factory.mktemp("build")
    builder = Environment(top, wheelhouse)
    builder.pip("install", "--quiet", "setuptools>=77", "docutils>=0.19")
    wheel = builder.build("wheel", installing.copy_checkout(top / "for-wheel"), top / "wheel")
    sdist = builder.build("sdist", installing.copy_checkout(top / "for-sdist"), top / "sdist")
    (top / "unpacked").mkdir()
    # Python learned to unpack safely, and to warn of what is not, within what we support
    installing.run("tar", "-xf", sdist, cwd=top / "unpacked")
    (tree,) = (top / "unpacked").iterdir()
    return Distributions(wheel, sdist, builder.build("wheel", tree, top / "wheel-of-sdist"))
