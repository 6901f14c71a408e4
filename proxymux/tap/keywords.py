"""The services as ``.tac`` files make them: functions whose arguments are settings."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import ParamSpec, TypeVar

from proxymux.settings import Settings

P = ParamSpec("P")
S = TypeVar("S", bound=Settings)
R = TypeVar("R")


def takes(
    settings: Callable[P, S], read: Callable[[Mapping[str, object]], S]
) -> Callable[[Callable[[S], R]], Callable[P, R]]:
    """Have a function of settings take the arguments of their constructor, for editors and type checkers too.

    An argument that is None is not given.

    :param settings: the class of the settings.
    :param read: makes settings of what was given, by name.
    """
    assert isinstance(settings, type)
    assert issubclass(settings, Settings)
    kind: type[Settings] = settings
    signature = inspect.signature(kind)
    plain = [each.replace(annotation=each.empty) for each in signature.parameters.values()]

    def taking(make: Callable[[S], R]) -> Callable[P, R]:
        @functools.wraps(make)
        def service(*args: P.args, **kwargs: P.kwargs) -> R:
            kind.check_names(kwargs)
            given = signature.bind(*args, **kwargs).arguments
            return make(read({name: value for name, value in given.items() if value is not None}))

        returned = inspect.signature(make).return_annotation
        vars(service)["__signature__"] = signature.replace(parameters=plain, return_annotation=returned)
        return service

    return taking
