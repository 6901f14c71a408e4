"""The kinds of settings.  A setting knows its name, unit, default, bounds, help, and how given values are converted.

A setting is a descriptor that stands in a dataclass, annotated with its own class.  So type checkers know which values
may be assigned (what ``__set__`` takes) and which are read (what ``__get__`` returns), also for the constructor.
Options, keyword arguments, error messages and the tables of the docs are made from the settings.
"""

from __future__ import annotations

from proxymux.fields.numbers import Count, Duration, OptionalCount, OptionalDuration, OptionalRate
from proxymux.fields.setting import Setting
from proxymux.fields.texts import (
    AbsoluteFile,
    Choice,
    Flag,
    Names,
    OptionalAddress,
    OptionalChoice,
    OptionalText,
    Secret,
    Switch,
    Text,
    Values,
    Whatever,
    in_words,
)
from proxymux.fields.workers import Workers

__all__ = [
    "AbsoluteFile",
    "Choice",
    "Count",
    "Duration",
    "Flag",
    "Names",
    "OptionalAddress",
    "OptionalChoice",
    "OptionalCount",
    "OptionalDuration",
    "OptionalRate",
    "OptionalText",
    "Secret",
    "Setting",
    "Switch",
    "Text",
    "Values",
    "Whatever",
    "Workers",
    "in_words",
]
