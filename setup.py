"""What setup.cfg cannot say: builds begin empty, and wheels hold the manual, from docs."""

import runpy
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

# setuptools has no such command of its own, and brings this distutils for Pythons without one
from distutils.command.install_data import install_data  # isort: skip


class BuildPy(build_py):
    """Builds into an empty directory: an earlier build may hold modules that are gone since."""

    def run(self):
        base = Path(self.get_finalized_command("build").build_base)
        # one that somebody has chosen elsewhere may hold more than ours
        if base in Path(self.build_lib).parents and not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


class InstallData(install_data):
    """Installs the manual into share/man, where man looks for the pages of a program on PATH."""

    def run(self):
        man = Path(self.get_finalized_command("build").build_base) / "man"
        build = runpy.run_path("docs/man.py")["build"]
        for page in build(man, self.distribution.get_version()):
            self.data_files.append((f"share/man/{page.parent.name}", [str(page)]))
        super().run()


setup(cmdclass={"build_py": BuildPy, "install_data": InstallData})
