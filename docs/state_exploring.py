"""Finding out what a state machine of the core does, by running it: where each input leads from each state.

The tables of the machines (``TRANSITIONS``) say which input counts in which state.  What it leads to, a reaction finds
out itself.  So the machine is given everything that can happen, in every order, until it shows nothing new.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

#: Bytes, numbers and items are told apart up to here, so that there is an end to what is new.
_MANY = 2
#: How deep what a machine is made of is looked into.
_DEPTH = 4


@dataclass(frozen=True)
class Machine:
    """A state machine to be explored.

    :param name: of the files that are made of it.
    :param module: has ``State``, ``Input`` and ``TRANSITIONS``.
    :param makes: each makes a fresh machine, with ``state`` and ``take(input, value)``; one for each way to set it up.
    :param samples: what may happen to a machine now: inputs with their values, always the same after the same course.
    """

    name: str
    module: str
    makes: Sequence[Callable[[], Any]]
    samples: Callable[[Any], Sequence[tuple[enum.Enum, Any]]]


@dataclass
class Transitions:
    """What was found.

    :param states: all states, in the order of the code.
    :param inputs: all inputs, likewise.
    :param first: the states of fresh machines.
    :param next: where an input may lead from a state; only inputs that count there are in it.
    """

    states: list[enum.Enum]
    inputs: list[enum.Enum]
    first: set[enum.Enum]
    next: dict[tuple[enum.Enum, enum.Enum], set[enum.Enum]] = field(default_factory=dict)

    def between(self, start: enum.Enum, end: enum.Enum) -> list[enum.Enum]:
        """The inputs that may lead from one state to another."""
        return [each for each in self.inputs if end in self.next.get((start, each), ())]


def explore(machine: Machine) -> Transitions:
    """Run a machine until it shows nothing new.

    :raises LookupError: if an input that counts in a state was never tried there: the samples are to be extended.
    """
    module = importlib.import_module(machine.module)
    table = module.TRANSITIONS
    found = Transitions(list(module.State), list(module.Input), {make().state for make in machine.makes})
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
            shape = _shape(running, _DEPTH)
            if shape not in seen:
                seen.add(shape)
                todo.append((make, (*path, number)))
    for state, reactions in table.items():
        for what in reactions:
            if (state, what) not in found.next:
                raise LookupError(f"{machine.module}: {what} in {state} was never tried; extend the samples")
    return found


def _replay(machine: Machine, make: Callable[[], Any], path: tuple[int, ...]) -> Any:
    """A machine to which all of ``path`` has happened, each step a number among the samples at that time."""
    running = make()
    for number in path:
        running.take(*machine.samples(running)[number])
    return running


def _shape(thing: Any, depth: int) -> Any:
    """What is worth telling apart of a machine or of a value in it."""
    if thing is None or isinstance(thing, enum.Enum):
        return thing
    if isinstance(thing, (bytes, str)):
        return min(len(thing), _MANY)
    if isinstance(thing, (int, float)):
        return min(thing, _MANY)
    if callable(thing) or dataclasses.is_dataclass(thing) or not depth:
        return type(thing).__name__  # a value, not a part of the machine
    if isinstance(thing, (list, tuple, deque)):
        return tuple(_shape(each, depth - 1) for each in list(thing)[:_MANY])
    names = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
    values = {name: getattr(thing, name, None) for name in names} | getattr(thing, "__dict__", {})
    return (type(thing).__name__, *(_shape(values[name], depth - 1) for name in sorted(values)))
