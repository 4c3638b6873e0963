"""How kernels are compiled: single-threaded, without the interpreter lock, kept on disk between runs.

Parallelism is the caller's choice; fast-math is off, so a kernel rounds as its plain reference does, but for those
that say otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

import numba
import numpy as np

F = TypeVar("F", bound=Callable[..., object])


def kernel(function: F) -> F:
    """Compile ``function`` on first use.

    That fast-math is off is said, as numba takes what is not said from whoever calls first: a kernel would round in one
    way or another with what was compiled before it.
    """
    return cast(F, _kept(numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=False)(function)))


def inline(function: F) -> F:
    """Compile a small helper that the kernels calling it absorb."""
    return cast(
        F, _kept(numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=False, inline="always")(function))
    )


def reordering_kernel(function: F) -> F:
    """Compile a kernel whose sums may be taken in another order and with fused products: for roads that expand and
    interpolate, and are held to their reference within a stated tolerance instead of bit for bit."""
    return cast(
        F, _kept(numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})(function))
    )


def _kept(compiled: Any) -> Any:
    """A kernel on disk is older than its source where anything is that was compiled into it.

    numba looks at the file of the kernel itself; what it takes from others, kernels and numbers, and how it is to be
    compiled, would be as it was when the kernel was compiled (an update of the project then computes something else
    than its source says).
    """
    file = _file(compiled)
    if file is not None:  # without a place to keep kernels, or with compilation switched off, nothing can be old
        file._source_stamp = (file._source_stamp, _options(compiled), _absorbed(compiled))
        file._load_index = partial(_index_or_none, file._load_index)
    return compiled


def _index_or_none(load: Callable[[], dict[Any, Any]]) -> dict[Any, Any]:
    """What a kernel's index on disk tells; nothing, if it names types that an update of the project has moved."""
    try:
        return load()
    except (ImportError, AttributeError):
        return {}


def _file(value: object) -> Any:
    """Where numba keeps a kernel; None of anything else."""
    return getattr(getattr(value, "_cache", None), "_cache_file", None)


def _options(compiled: Any) -> tuple[str, ...]:
    """How a kernel is compiled, told alike in every process (a set of flags has another order in each)."""
    given = compiled.targetoptions.items()
    return tuple(sorted(f"{name}={sorted(v) if isinstance(v, set) else v}" for name, v in given))


def _absorbed(compiled: Any) -> tuple[object, ...]:
    """What a kernel takes from its module's names: kernels, as their own stamps, and numbers."""
    function = compiled.py_func
    used = sorted(set(function.__code__.co_names) & function.__globals__.keys())
    values = [function.__globals__[name] for name in used]
    kernels = [file._source_stamp for value in values if (file := _file(value)) is not None]
    numbers = [repr(value) for value in values if isinstance(value, bool | int | float | complex | tuple | np.generic)]
    return (*kernels, *numbers)
