"""Contents of wheel and sdist."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from installing import Distributions

pytestmark = pytest.mark.long


def files_of_wheel(wheel: Path) -> dict[str, bytes]:
    """Return contents by name, without metadata, and without the name of the data directory."""
    found = {}
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            top, _, rest = name.partition("/")
            if top.endswith(".data"):
                found[rest] = archive.read(name)
            elif not top.endswith(".dist-info"):
                found[name] = archive.read(name)
    return found


def files_in(checkout: Path, directory: str) -> dict[str, bytes]:
    """Return contents by name."""
    return {
        path.relative_to(checkout).as_posix(): path.read_bytes()
        for path in (checkout / directory).rglob("*")
        if path.is_file()
    }


def test_contents_of_the_wheel(distributions: Distributions, checkout: Path) -> None:
    expected = files_in(checkout, "tcpd") | files_in(checkout, "twisted")
    assert {
        "tcpd/py.typed",
        "tcpd/small/quotes.txt",
        "twisted/plugins/tcpd_plugin.py",
    } <= expected.keys()
    for name, content in files_in(checkout, "etc").items():
        expected[f"data/share/tcpd/{name}"] = content
    held = files_of_wheel(distributions.wheel)
    manual = [held.pop(name) for name in [*held] if name.startswith("data/share/man/man")]
    assert len(manual) == len(files_in(checkout, "docs/man"))
    assert held.keys() == expected.keys()  # first: a diff of contents takes long
    assert held == expected


def test_wheel_is_for_every_python_and_has_the_license(distributions: Distributions) -> None:
    assert distributions.wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(distributions.wheel) as archive:
        metadata = [PurePosixPath(name).name for name in archive.namelist() if ".dist-info" in name]
    assert "LICENSE" in metadata


def test_sdist_has_all_files_of_the_checkout(distributions: Distributions, checkout: Path) -> None:
    with tarfile.open(distributions.sdist) as archive:
        held = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    tree = {path.relative_to(checkout).as_posix() for path in checkout.rglob("*") if path.is_file()}
    assert tree - held == {".gitignore"}
    assert {name for name in held - tree if "egg-info/" not in name} == {"PKG-INFO"}


def test_wheel_from_the_sdist_is_the_same(distributions: Distributions) -> None:
    assert distributions.wheel_of_sdist.name == distributions.wheel.name
    assert files_of_wheel(distributions.wheel_of_sdist) == files_of_wheel(distributions.wheel)
