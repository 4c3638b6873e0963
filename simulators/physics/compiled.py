"""How kernels are compiled: single-threaded, without the interpreter lock, kept on disk between runs.

Parallelism is the caller's choice; fast-math is off, so a kernel rounds as its plain reference does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def kernel(function: F) -> F:
    """Compile ``function`` on first use."""
    compiled: Any = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return cast(F, compiled)


def inline(function: F) -> F:
    """Compile a small helper that the kernels calling it absorb."""
    compiled: Any = numba.njit(cache=True, nogil=True, error_model="numpy", inline="always")(function)
    return cast(F, compiled)
