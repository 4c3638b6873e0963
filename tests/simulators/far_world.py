"""A world as devices of another process see it, without the process: everything that crosses is a copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from drivers.contract import Value
from simulators.worlds.prbm import PrbmWorld


def operations(world: type) -> set[str]:
    """Names of what a world lets devices call."""
    return {name for c in world.__mro__ for name, member in vars(c).items() if hasattr(member, "__operation__")}


class FarWorld:
    """Parameters, clock, state and operations, and nothing else.

    Arguments and results are copied on the way, arrays arrive read-only, tuples as lists; what was passed is
    overwritten when the call has returned, as memory that is used again would be. Arrays from ``allocate`` are shared
    and writable.
    """

    def __init__(self, world: PrbmWorld, cells: NDArray[np.int64], own: int) -> None:
        self.parameters = world.parameters.model_copy(deep=True)
        self.clock = world.clock_of_kind("virtual", cells, own)
        self.state = world.state
        self.calls: list[str] = []
        self._world = world
        self._operations = operations(type(world))
        self._shared: list[NDArray[Any]] = []

    def allocate(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Memory that both sides see."""
        self._shared.append(np.full(shape, 77, dtype))
        return self._shared[-1]

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in self._operations:
            raise AttributeError(f"{name} of the world cannot be reached from another process")

        def call(*arguments: Any) -> Any:
            self.calls.append(name)
            copies: list[NDArray[Any]] = []
            result = getattr(self._world, name)(*[self._sent(a, copies) for a in arguments])
            for copy in copies:
                copy.flags.writeable = True
                copy.view(np.uint8).fill(0xA5)
            return self._sent(result, [])

        return call

    def _sent(self, value: Any, copies: list[NDArray[Any]]) -> Any:
        if isinstance(value, np.ndarray):
            if any(value is shared for shared in self._shared):
                return value
            assert value.dtype.kind in "biuf"
            copy = np.array(value, order="C")
            copy.flags.writeable = False
            copies.append(copy)
            return copy
        if isinstance(value, Value):
            return type(value)(**{n: self._sent(getattr(value, n), copies) for n in value.__struct_fields__})
        if isinstance(value, (list, tuple)):
            return [self._sent(v, copies) for v in value]
        if isinstance(value, dict):
            return {k: self._sent(v, copies) for k, v in value.items()}
        if isinstance(value, np.generic):
            return value.item()
        assert value is None or isinstance(value, (bool, int, float, str)), type(value)
        return value
