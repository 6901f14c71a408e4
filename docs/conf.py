"""Sphinx configuration."""

import os
import sys

import proxymux

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from option_tables import expand

project = "proxymux"
copyright = "2026, the proxymux developers"
release = version = proxymux.__version__
extensions = ["sphinx.ext.autodoc"]
autodoc_member_order = "bysource"
html_theme = "alabaster"
exclude_patterns = ["_build", "examples/README.rst"]


def setup(app):
    """Put the tables of options where the pages want them."""

    def read(app, name, source):
        source[0] = expand(source[0])

    app.connect("source-read", read)
