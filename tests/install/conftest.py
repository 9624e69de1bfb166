"""Fixtures for tests of installs; they download from a package index once."""

from __future__ import annotations

from pathlib import Path

import installing
import pytest
from installing import Distributions, Environment


@pytest.fixture(scope="session")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with wheels of tcpd's runtime and build requirements."""
    directory = tmp_path_factory.mktemp("wheelhouse")
    error = installing.download(directory)
    if error:
        pytest.skip(f"tcpd's requirements cannot be downloaded: {error[-500:]}")
    return directory


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the checkout, like a clone."""
    return installing.copy_checkout(tmp_path / "tcpd")


@pytest.fixture
def environment(tmp_path: Path, wheelhouse: Path) -> Environment:
    """A new virtual environment, whose package index is the wheelhouse."""
    return Environment(tmp_path, wheelhouse)


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory, wheelhouse: Path) -> Distributions:
    """Build all three, each in a separate tree."""
    top = tmp_path_factory.mktemp("build")
    builder = Environment(top, wheelhouse)
    builder.pip("install", "--quiet", "setuptools>=77", "docutils>=0.19")
    wheel = builder.build("wheel", installing.copy_checkout(top / "for-wheel"), top / "wheel")
    sdist = builder.build("sdist", installing.copy_checkout(top / "for-sdist"), top / "sdist")
    (top / "unpacked").mkdir()
    # not tarfile: its filters, and the warning without one, differ among the supported Pythons
    installing.run("tar", "-xf", sdist, cwd=top / "unpacked")
    (tree,) = (top / "unpacked").iterdir()
    return Distributions(wheel, sdist, builder.build("wheel", tree, top / "wheel-of-sdist"))
