"""Threads of products of matrices."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped,unused-ignore]

_BLAS = ThreadpoolController()


def one_thread() -> AbstractContextManager[Any]:
    """Within, products of matrices are taken by one thread: others that wait for more work would spin."""
    limited: AbstractContextManager[Any] = _BLAS.limit(limits=1, user_api="blas")
    return limited
