"""Explores a state machine of the core by running it: to which states each input leads from each state.

The table of a machine (``TRANSITIONS``) says which inputs have an effect in which state, but not to which state they
lead: the methods in the table decide that.  So the machine is run with all samples of inputs in every order, until it
reaches no state of its attributes that is new.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

#: Numbers, and lengths of texts and lists, count as equal from here on, so that the exploration ends.
_MANY = 2
#: The depth to which the attributes of a machine, and theirs, are compared.
_DEPTH = 4


@dataclass(frozen=True)
class Machine:
    """A state machine to be explored.

    :param name: the name of the files that are made of it.
    :param module: the module that has ``TRANSITIONS``.
    :param makes: functions that make a new machine with ``state`` and ``take(input, value)``, one for each set-up.
    :param samples: returns the inputs that a machine may get now, with values; the same after the same inputs.
        A function makes the value when the machine gets it.
    """

    name: str
    module: str
    makes: Sequence[Callable[[], Any]]
    samples: Callable[[Any], Sequence[tuple[enum.Enum, Any]]]


@dataclass
class Transitions:
    """The transitions of a machine.

    :param states: all states, in the order of the code.
    :param inputs: all inputs, in the order of the code.
    :param first: the states of new machines.
    :param next: the states to which an input may lead from a state; only inputs that have an effect there are in it.
    """

    states: list[enum.Enum]
    inputs: list[enum.Enum]
    first: set[enum.Enum]
    next: dict[tuple[enum.Enum, enum.Enum], set[enum.Enum]] = field(default_factory=dict)

    def between(self, start: enum.Enum, end: enum.Enum) -> list[enum.Enum]:
        """Return the inputs that may lead from one state to another."""
        return [each for each in self.inputs if end in self.next.get((start, each), ())]


def explore(machine: Machine) -> Transitions:
    """Run a machine until it reaches nothing new, and return its transitions.

    :raises LookupError: if an input that has an effect in a state was never tried there; the samples lack it.
    """
    table = importlib.import_module(machine.module).TRANSITIONS
    state, what = next((state, what) for state, reactions in table.items() for what in reactions)
    found = Transitions(list(type(state)), list(type(what)), {make().state for make in machine.makes})
    seen = set()
    todo: deque[tuple[Callable[[], Any], tuple[int, ...]]] = deque((make, ()) for make in machine.makes)
    while todo:
        make, path = todo.popleft()
        here = _replay(machine, make, path)
        before, reactions = here.state, table[here.state]
        for number, (what, _) in enumerate(machine.samples(here)):
            if what not in reactions:
                continue
            running = _replay(machine, make, (*path, number))
            found.next.setdefault((before, what), set()).add(running.state)
            signature = _signature(running, _DEPTH)
            if signature not in seen:
                seen.add(signature)
                todo.append((make, (*path, number)))
    for state, reactions in table.items():
        for what in reactions:
            if (state, what) not in found.next:
                raise LookupError(f"{machine.module}: {what} in {state} was never tried; extend the samples")
    return found


def _replay(machine: Machine, make: Callable[[], Any], path: tuple[int, ...]) -> Any:
    """Make a machine and give it the inputs of ``path``, each a number among the samples at that time."""
    running = make()
    for number in path:
        what, value = machine.samples(running)[number]
        running.take(what, value() if isinstance(value, FunctionType) else value)
    return running


def _signature(thing: Any, depth: int) -> Any:
    """Return a value that is equal for machines, or parts of them, that need not be told apart."""
    if thing is None or isinstance(thing, enum.Enum):
        return thing
    if isinstance(thing, (bytes, str)):
        return min(len(thing), _MANY)
    if isinstance(thing, (int, float)):
        return min(thing, _MANY)
    if callable(thing) or dataclasses.is_dataclass(thing) or not depth:
        return type(thing).__name__  # values such as decisions are told apart by their type only
    if isinstance(thing, (list, tuple, deque)):
        return tuple(_signature(each, depth - 1) for each in list(thing)[:_MANY])
    # A compiled class has no slots, and tells its attributes by another name.
    names = [
        name
        for kind in type(thing).__mro__
        for each in ("__slots__", "__mypyc_attrs__")
        for name in getattr(kind, each, ())
    ]
    values = {name: getattr(thing, name, None) for name in names} | getattr(thing, "__dict__", {})
    return (type(thing).__name__, *(_signature(values[name], depth - 1) for name in sorted(values)))
