"""Sphinx configuration."""

import proxymux

project = "proxymux"
copyright = "2026, the proxymux developers"
release = version = proxymux.__version__
extensions = ["sphinx.ext.autodoc"]
autodoc_member_order = "bysource"
html_theme = "alabaster"
exclude_patterns = ["_build", "examples/README.rst"]
