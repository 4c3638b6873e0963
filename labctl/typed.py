"""What modules written by `labctl stubs` stand on: operations of devices behind the bus, with their types.

At run time nothing of it is used but names: proxies are made from what the device server tells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast

from labctl.bus.connection import Pending

P = ParamSpec("P")
R = TypeVar("R")


class Operation(Generic[P, R]):
    """An operation as a program calls it, or begins with ``submit`` and waits for later."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call it, and wait for what it gives."""
        raise NotImplementedError

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Pending:
        """Begin the call; `Pending.result` waits for it and gives what the call gives."""
        raise NotImplementedError


def remote(method: Callable[Concatenate[Any, P], R]) -> Operation[P, R]:
    """A method as an operation of the same signature."""
    return cast("Operation[P, R]", method)
