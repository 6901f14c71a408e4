"""``python -m proxymux`` is the console script."""

from proxymux.cli import main

main()
