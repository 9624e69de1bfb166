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


def test_a_wheel_holds_the_package_the_plugin_and_the_sample(
    distributions: Distributions, checkout: Path
) -> None:
    package = {
        path.relative_to(checkout).as_posix(): path.read_bytes()
        for path in (checkout / "tcpd").rglob("*")
        if path.is_file()
    }
    assert "tcpd/py.typed" in package
    assert "tcpd/small/quotes.txt" in package
    assert files_of_wheel(distributions.wheel) == package | {
        "twisted/plugins/tcpd_plugin.py": (
            checkout / "twisted" / "plugins" / "tcpd_plugin.py"
        ).read_bytes(),
        "data/share/tcpd/etc/tcpd.ini": (checkout / "etc" / "tcpd.ini").read_bytes(),
    }


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
