"""The wheel: the package with a library that is built already, for one platform and any Python 3."""

import re
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel


class PlatformDistribution(Distribution):
    def has_ext_modules(self) -> bool:
        return True


class PlatformWheel(bdist_wheel):
    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


WORKSPACE = Path(__file__).parents[2] / "Cargo.toml"
VERSION = re.search(r'^version = "(.+)"', WORKSPACE.read_text(), re.MULTILINE)
assert VERSION, "the workspace has no version"
setup(version=VERSION[1], distclass=PlatformDistribution, cmdclass={"bdist_wheel": PlatformWheel})
