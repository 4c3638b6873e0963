"""The binary digits of π, on which NIST published what its programs find."""

from __future__ import annotations

import functools
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal

import numpy as np

COUNT = 1_004_882
"""As many as NIST's file ``data.pi`` holds."""

_CHUNK = 16_384


@functools.cache
def pi_bits() -> np.ndarray:
    """The first 1,004,882 of them, (n,) uint8, 11.001…: by the series of Chudnovsky and Chudnovsky."""
    digits = int(COUNT * 0.30103) + 30
    context = Context(prec=digits, Emax=MAX_EMAX, Emin=MIN_EMIN)
    _, q, t = _series(context, 0, digits // 14 + 2)
    root = context.multiply(Decimal(10005), _inverse_root(10005, digits))
    rest = context.divide(context.multiply(context.multiply(q, Decimal(106720)), root), t)
    # Chunks of π/4 are brought before the point: each needs fewer digits, and int() of all would take seconds.
    words = []
    for k in range(-(-COUNT // _CHUNK)):
        context.prec = digits - int(k * _CHUNK * 0.30103) + 10
        rest = context.multiply(rest, Decimal(2**_CHUNK))
        whole = rest.to_integral_value("ROUND_FLOOR", context)
        rest = context.subtract(rest, whole)
        words.append(f"{int(whole):0{_CHUNK}b}")
    text = "".join(words)[:COUNT]
    return np.frombuffer(text.encode(), np.uint8) - ord("0")


def _series(context: Context, a: int, b: int) -> tuple[Decimal, Decimal, Decimal]:
    if b - a == 1:
        p = Decimal((6 * a - 5) * (2 * a - 1) * (6 * a - 1)) if a else Decimal(1)
        q = Decimal(10939058860032000 * a**3) if a else Decimal(1)
        t = context.multiply(p, Decimal(13591409 + 545140134 * a))
        return p, q, context.minus(t) if a % 2 else t
    middle = (a + b) // 2
    p1, q1, t1 = _series(context, a, middle)
    p2, q2, t2 = _series(context, middle, b)
    t = context.add(context.multiply(q2, t1), context.multiply(p1, t2))
    return context.multiply(p1, p2), context.multiply(q1, q2), t


def _inverse_root(number: int, digits: int) -> Decimal:
    """1/√number by Newton's iteration, which doubles the digits each time."""
    context = Context(prec=30, Emax=MAX_EMAX, Emin=MIN_EMIN)
    x = context.divide(Decimal(1), context.sqrt(Decimal(number)))
    while context.prec < digits + 10:
        context.prec = min(2 * context.prec - 4, digits + 10)
        error = context.subtract(Decimal(1), context.multiply(Decimal(number), context.multiply(x, x)))
        x = context.add(x, context.multiply(context.multiply(x, error), Decimal("0.5")))
    return x
