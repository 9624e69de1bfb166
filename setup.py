"""What setup.cfg cannot say: the manual is built into wheels, from the sources in docs."""

import runpy
from pathlib import Path

from setuptools import setup

# setuptools has no such command of its own, and brings this distutils for Pythons without one
from distutils.command.install_data import install_data  # isort: skip


class InstallData(install_data):
    """Installs the manual into share/man, where man looks for the pages of a program on PATH."""

    def run(self):
        man = Path(self.get_finalized_command("build").build_base) / "man"
        build = runpy.run_path("docs/man.py")["build"]
        for page in build(man, self.distribution.get_version()):
            self.data_files.append((f"share/man/{page.parent.name}", [str(page)]))
        super().run()


setup(cmdclass={"install_data": InstallData})
