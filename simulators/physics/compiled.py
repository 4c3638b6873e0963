"""How kernels are compiled: single-threaded, without the interpreter lock, kept on disk between runs.

Parallelism is the caller's choice; fast-math is off, so a kernel rounds as its plain reference does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numba

F = TypeVar("F", bound=Callable[..., object])


def kernel(function: F) -> F:
    """Compile ``function`` on first use."""
    compiled: F = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return compiled


def inline(function: F) -> F:
    """Compile a small helper that the kernels calling it absorb."""
    compiled: F = numba.njit(cache=True, nogil=True, error_model="numpy", inline="always")(function)
    return compiled
