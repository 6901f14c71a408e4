"""Keyword arguments for ``.tac`` files: functions that make a service, with an argument for each setting."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import ParamSpec, TypeVar

from proxymux.settings import Settings

P = ParamSpec("P")
S = TypeVar("S", bound=Settings)
R = TypeVar("R")


def takes(
    settings: Callable[P, S], read: Callable[[Mapping[str, object]], S]
) -> Callable[[Callable[[S], R]], Callable[P, R]]:
    """Decorate a function of a settings object, so that it takes the settings as arguments instead.

    The decorated function has the signature of the settings' constructor, for editors and type checkers, too.  An
    argument that is None counts as not given.  An unknown or bad argument raises ConfigError.

    :param settings: the class of the settings.
    :param read: makes the settings object from the arguments that were given, by name.
    """
    assert isinstance(settings, type)
    assert issubclass(settings, Settings)
    kind: type[Settings] = settings
    signature = inspect.signature(kind)
    unannotated = [each.replace(annotation=each.empty) for each in signature.parameters.values()]

    def decorate(make: Callable[[S], R]) -> Callable[P, R]:
        @functools.wraps(make)
        def make_from_arguments(*args: P.args, **kwargs: P.kwargs) -> R:
            kind.check_names(kwargs)
            given = signature.bind(*args, **kwargs).arguments
            settings = read({name: value for name, value in given.items() if value is not None})
            with contextlib.redirect_stdout(sys.stderr):  # what user code prints while it is loaded
                return make(settings)

        returned = inspect.signature(make).return_annotation
        shown = signature.replace(parameters=unannotated, return_annotation=returned)
        vars(make_from_arguments)["__signature__"] = shown
        return make_from_arguments

    return decorate
