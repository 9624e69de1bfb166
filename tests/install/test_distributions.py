"""What a release holds, and what it does not."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from installing import Distributions

pytestmark = pytest.mark.long


def files_of_wheel(wheel: Path) -> dict[str, bytes]:
    """Contents by name, less the wheel's metadata; of its data, less the directory's name."""
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
    """Contents by name."""
    return {
        path.relative_to(checkout).as_posix(): path.read_bytes()
        for path in (checkout / directory).rglob("*")
        if path.is_file()
    }


def test_a_wheel_holds_the_package_the_plugin_the_samples_and_the_manual(
    distributions: Distributions, checkout: Path
) -> None:
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
    assert held.keys() == expected.keys()  # first, for a difference of contents takes long to tell
    assert held == expected


def test_a_wheel_is_for_every_python_and_carries_the_license(distributions: Distributions) -> None:
    assert distributions.wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(distributions.wheel) as archive:
        metadata = [PurePosixPath(name).name for name in archive.namelist() if ".dist-info" in name]
    assert "LICENSE" in metadata


def test_an_sdist_holds_all_that_the_checkout_does(
    distributions: Distributions, checkout: Path
) -> None:
    with tarfile.open(distributions.sdist) as archive:
        held = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    tree = {path.relative_to(checkout).as_posix() for path in checkout.rglob("*") if path.is_file()}
    assert tree - held == {".gitignore"}
    assert {name for name in held - tree if "egg-info/" not in name} == {"PKG-INFO"}


def test_an_sdist_makes_the_same_wheel(distributions: Distributions) -> None:
    assert distributions.wheel_of_sdist.name == distributions.wheel.name
    assert files_of_wheel(distributions.wheel_of_sdist) == files_of_wheel(distributions.wheel)
