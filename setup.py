import sys

from setuptools import setup

sys.path.insert(0, "compiling")
from extensions import BuildAllOrNone, extensions

setup(ext_modules=extensions(), cmdclass={"build_ext": BuildAllOrNone})
