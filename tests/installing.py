"""Virtual environments, wheels and copies of the checkout for the tests of installs."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

#: Timeout in seconds of one pip, whose index may be slow.
PIP_PATIENCE = 600.0


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a command that must succeed; return its standard output and standard error."""
    # with this suite's PYTHONPATH the command would find modules that are not installed
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=inherited | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PIP_PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def requirements(*extras: str) -> list[str]:
    """Return the requirements of tcpd and of the named extras, from setup.cfg."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    lists = [setup["options.extras_require"][extra] for extra in extras]
    return " ".join([setup["options"]["install_requires"], *lists]).split()


def download(directory: Path, *more: str) -> str:
    """Fetch wheels of tcpd's runtime and build requirements; return the error, or ``""``.

    :param more: further requirements.
    """
    done = subprocess.run(
        [
            sys.executable,
            *("-m", "pip", "--disable-pip-version-check", "download", "--quiet"),
            *("--dest", str(directory), "setuptools>=77", "docutils>=0.19", *requirements(), *more),
        ],
        capture_output=True,
        text=True,
        timeout=PIP_PATIENCE,
        check=False,
    )
    return done.stderr if done.returncode else ""


def copy_checkout(copy: Path) -> Path:
    """Copy the checkout without ``.git`` and the files that git ignores."""
    ignored = shutil.ignore_patterns(
        *(".git", ".venv", "env", "build", "dist", "_build", "*.egg-info", "__pycache__"),
        *(".*_cache", ".hypothesis", "dropin.cache", "twistd.*"),
    )
    shutil.copytree(ROOT, copy, ignore=ignored)
    return copy


class Environment:
    """A new virtual environment that contains only pip.

    :param top: an existing directory for all its files.
    :param wheelhouse: the only package index of its pip.
    :ivar elsewhere: an empty directory outside any checkout, to run programs in.
    """

    def __init__(self, top: Path, wheelhouse: Path) -> None:
        self.directory = top / "env"
        self.elsewhere = top / "elsewhere"
        self.elsewhere.mkdir()
        self._wheelhouse = wheelhouse
        venv.create(self.directory, with_pip=True)

    def tool(self, name: str) -> Path:
        """Return the path of a program of this environment."""
        return self.directory / "bin" / name

    def run(
        self, name: str, *arguments: str | Path, cwd: Path | None = None, **environment: str
    ) -> str:
        """Run a program of this environment, by default in :attr:`elsewhere`."""
        return run(self.tool(name), *arguments, cwd=cwd or self.elsewhere, **environment)

    def pip(self, *arguments: str | Path) -> str:
        """Run this environment's pip."""
        return self.run(
            "python",
            *("-m", "pip", "--disable-pip-version-check", *arguments),
            PIP_NO_INDEX="1",
            PIP_FIND_LINKS=str(self._wheelhouse),
        )

    def build(self, what: str, tree: Path, directory: Path) -> Path:
        """Build ``sdist`` or ``wheel`` in a tree, which keeps build files; requires setuptools."""
        program = (
            f"from setuptools.build_meta import build_{what} as build; build({str(directory)!r})"
        )
        self.run("python", "-c", program, cwd=tree)
        (built,) = directory.iterdir()
        return built


@dataclass(frozen=True)
class Distributions:
    """The files of a release, and a wheel built from its sdist."""

    wheel: Path
    sdist: Path
    wheel_of_sdist: Path
