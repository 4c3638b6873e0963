"""How kernels are compiled: single-threaded, without the interpreter lock, kept on disk between runs.

Parallelism is the caller's choice; fast-math is off, so a kernel rounds as its plain reference does, but for those
that say otherwise. To import the compiler takes a process longer than all else that a bench needs, and most processes
of a bench call no kernel: it is imported when the first one is.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from functools import partial
from types import CodeType, FunctionType
from typing import Any, TypeVar, cast

import numpy as np

F = TypeVar("F", bound=Callable[..., object])

_making = threading.RLock()


def kernel(function: F) -> F:
    """Compile ``function`` on first use.

    That fast-math is off is said, as numba takes what is not said from whoever calls first: a kernel would round in one
    way or another with what was compiled before it.
    """
    return _made(function, fastmath=False)


def inline(function: F) -> F:
    """Compile a small helper that the kernels calling it absorb."""
    return _made(function, fastmath=False, inline="always")


def reordering_kernel(function: F) -> F:
    """Compile a kernel whose sums may be taken in another order and with fused products: for roads that expand and
    interpolate, and are held to their reference within a stated tolerance instead of bit for bit."""
    return _made(function, fastmath={"reassoc", "contract"})


def _made(function: F, **options: Any) -> F:
    made = _Kernel(cast(FunctionType, function), options)
    # Experiments call theirs while they have control, and a lease ends before a compiler is imported. A table calls its
    # own before it is ready.
    if not function.__module__.startswith("simulators."):
        made.compiler()
    return cast(F, made)


class _Kernel:
    """A kernel that takes its compiler when it is called first, or when anything else is asked of it."""

    def __init__(self, function: FunctionType, options: dict[str, Any]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._options = options
        self._compiler: Any = None

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return (self._compiler or self.compiler())(*arguments, **named)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what Python itself asks of anything
            raise AttributeError(name)
        return getattr(self.compiler(), name)

    def compiler(self) -> Any:
        """What numba has made of it. Kernels that it calls are put in its module's names as such: numba knows no
        others."""
        with _making:
            if self._compiler is None:
                import numba

                names = self._function.__globals__
                for name in _used(self._function):
                    if isinstance(names[name], _Kernel):
                        names[name] = names[name].compiler()
                made = numba.njit(cache=True, nogil=True, error_model="numpy", **self._options)(self._function)
                self._compiler = _kept(made)
            return self._compiler


def _used(function: FunctionType) -> list[str]:
    """What a function, and those within it, take from its module's names."""

    def names(code: CodeType) -> Iterator[str]:
        yield from code.co_names
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from names(constant)

    return sorted(set(names(function.__code__)) & function.__globals__.keys())


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
    values = [function.__globals__[name] for name in _used(function)]
    kernels = [file._source_stamp for value in values if (file := _file(value)) is not None]
    numbers = [repr(value) for value in values if isinstance(value, bool | int | float | complex | tuple | np.generic)]
    return (*kernels, *numbers)
