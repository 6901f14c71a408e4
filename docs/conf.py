"""Sphinx configuration."""

import os
import sys

import proxymux

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import limit_tables
import metric_table
from option_tables import expand
from state_diagrams import make

project = "proxymux"
copyright = "2026, the proxymux developers"
release = version = proxymux.__version__
extensions = ["sphinx.ext.autodoc"]
autodoc_member_order = "bysource"
html_theme = "alabaster"
exclude_patterns = ["_build", "_generated", "examples/README.rst"]


def setup(app):
    """Make the state diagrams, and put the tables of options where the pages want them."""
    make()

    def read(app, name, source):
        source[0] = limit_tables.expand(metric_table.expand(expand(source[0])))

    app.connect("source-read", read)
