"""How kernels are compiled: single-threaded, without the interpreter lock, kept on disk between runs.

Parallelism is the caller's choice; fast-math is off, so a kernel rounds as its plain reference does, but for those
that say otherwise.
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


def reordering_kernel(function: F) -> F:
    """Compile a kernel whose sums may be taken in another order and with fused products: for roads that expand and
    interpolate, and are held to their reference within a stated tolerance instead of bit for bit."""
    compiled: Any = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})(function)
    return cast(F, compiled)
