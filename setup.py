"""Steps that setup.cfg cannot declare: an empty build directory, and man pages made from docs."""

import runpy
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

# setuptools has no such command; it contains distutils, which Python 3.12 removed
from distutils.command.install_data import install_data  # isort: skip


class BuildPy(build_py):
    """Builds into an empty directory: an earlier build may contain deleted modules."""

    def run(self):
        base = Path(self.get_finalized_command("build").build_base)
        # a directory chosen with --build-lib may contain other files
        if base in Path(self.build_lib).parents and not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


class InstallData(install_data):
    """Installs the man pages into share/man, where man(1) finds pages of programs on PATH."""

    def run(self):
        man = Path(self.get_finalized_command("build").build_base) / "man"
        build = runpy.run_path("docs/man.py")["build"]
        for page in build(man, self.distribution.get_version()):
            self.data_files.append((f"share/man/{page.parent.name}", [str(page)]))
        super().run()


setup(cmdclass={"build_py": BuildPy, "install_data": InstallData})
