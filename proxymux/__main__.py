"""Runs the console script ``proxymux`` as ``python -m proxymux``."""

from proxymux.cli import main

main()
