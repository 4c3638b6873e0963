"""What devices may ask of a world: operations, one at a time, from whatever thread or process."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from drivers.settings import operation


class TakesTurns(Protocol):
    """A world; ``turn`` is held by the operation that is being executed."""

    @property
    def turn(self) -> AbstractContextManager[object]:
        """Re-entrant lock."""
        ...


W = TypeVar("W", bound=TakesTurns)
P = ParamSpec("P")
R = TypeVar("R")


def world_operation(method: Callable[Concatenate[W, P], R]) -> Callable[Concatenate[W, P], R]:
    """Mark a world's method as callable by devices, which may live in other processes.

    Arguments and results are numbers, text, None, lists, contract values and arrays of numbers; tuples may arrive as
    lists, and arrays read-only, except those from `drivers.contract.Device.allocate`, which the world fills in place.
    An array that was passed may be used again once the call has returned: the world copies what it keeps.
    """

    def in_turn(world: W, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with world.turn:
            return method(world, *args, **kwargs)

    functools.update_wrapper(in_turn, method)
    return operation()(in_turn)
