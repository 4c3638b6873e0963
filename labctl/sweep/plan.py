"""What a sweep measures: an experiment, its points with the parameters and the seed of each, and the bench if any.

Nothing here depends on how or where points are measured, so that results cannot either.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from labctl import registry
from labctl.bench.overrides import parse_assignments
from labctl.plain import plain
from labctl.sweep.axes import Axis

REPEAT = "repeat"
POINT = "point"
_WORLD_SEED = "world.seed"


@dataclass(frozen=True)
class Plan:
    """A sweep before it is measured; the same on every machine.

    group: where ``name`` is registered. axes: what is varied, the last one fastest. constants: other ``--set`` values.
    together: axes are walked side by side, all of one length, and not every value of one with every value of the
    others. repeats: how often each point is measured, with another seed each time. bench: path or name of a bench
    file, None for an experiment that is all arithmetic. texts: what that and its overlay hold. world_seed: of the
    bench, None if it has none.
    """

    group: registry.Group
    name: str
    axes: tuple[Axis, ...]
    constants: Mapping[str, object]
    together: bool = False
    repeats: int = 1
    seed: int = 0
    bench: str | None = None
    texts: tuple[str, str] | None = field(default=None, repr=False)
    world_seed: int | None = None

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Number of points along each of `dimensions`."""
        lengths = [len(axis.values) for axis in self.axes]
        if self.together:
            lengths = lengths[:1]
        return (*lengths, *([self.repeats] if self.repeats > 1 else []))

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Names of the axes that results have: of the parameters, or ``point`` where these go together, ``repeat``."""
        names = [POINT] if self.together else [axis.key for axis in self.axes]
        return (*names, *([REPEAT] if self.repeats > 1 else []))

    @property
    def size(self) -> int:
        """Number of points."""
        return math.prod(self.shape)

    def place(self, index: int) -> tuple[int, ...]:
        """Where a point lies along each of `dimensions`; points are counted with the last one fastest."""
        return tuple(int(i) for i in np.unravel_index(index, self.shape))

    def swept(self, index: int) -> dict[str, object]:
        """What the axes give at a point."""
        at = self.place(index)
        return {axis.key: axis.values[at[0 if self.together else n]] for n, axis in enumerate(self.axes)}

    def given(self, index: int) -> dict[str, object]:
        """All ``--set`` values of a point. A repeat on a simulated bench is another draw of its table."""
        values = {**self.constants, **self.swept(index)}
        repeat = self._repeat(index)
        base = values.get(_WORLD_SEED, self.world_seed)
        if repeat and base is not None:
            values[_WORLD_SEED] = _number(_WORLD_SEED, base, repeat)
        return values

    def seed_of(self, index: int) -> int:
        """Of a point's experiment, for ``--seed``: it follows from the sweep's seed, the point's own parameters and the
        number of the repeat, so that it is the same in every sweep that has this point."""
        values = {key: _exact(value) for key, value in {**self.constants, **self.swept(index)}.items()}
        return _number(self.name, self.seed, values, self._repeat(index))

    def told(self, index: int) -> str:
        """A point in a few words: what is varied, and the repeat."""
        words = [f"{key}={_short(value)}" for key, value in self.swept(index).items()]
        return " ".join([*words, *([f"{REPEAT}={self._repeat(index)}"] if self.repeats > 1 else [])])

    def again(self, index: int) -> list[str]:
        """Arguments of `labctl` that measure one point alone, to the same values."""
        command = "figure" if self.group == "labctl.figures" else "run"
        settings = [word for key, value in self.given(index).items() for word in ("--set", f"{key}={_written(value)}")]
        bench = ["--bench", self.bench] if self.bench else []
        return [command, self.name, *settings, *bench, "--seed", str(self.seed_of(index))]

    def _repeat(self, index: int) -> int:
        return self.place(index)[-1] if self.repeats > 1 else 0

    # --- as text ----------------------------------------------------------------------------------------------------

    def as_json(self) -> str:
        """Everything, for the file of the sweep."""
        return json.dumps(
            {
                "group": self.group,
                "name": self.name,
                "axes": [[axis.key, list(axis.values), axis.unit] for axis in self.axes],
                "constants": dict(self.constants),
                "together": self.together,
                "repeats": self.repeats,
                "seed": self.seed,
                "bench": self.bench,
                "texts": self.texts,
                "world_seed": self.world_seed,
            },
            default=plain,
        )

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan that `as_json` wrote. Raises KeyError, TypeError or ValueError on what is none."""
        told = json.loads(text)
        axes = tuple(Axis(key, tuple(values), unit) for key, values, unit in told.pop("axes"))
        texts = told.pop("texts")
        return cls(**told, axes=axes, texts=None if texts is None else (texts[0], texts[1]))

    def differences(self, other: Plan) -> list[str]:
        """In words, what this and another plan do not have in common; nothing if both measure the same."""
        found = [
            f"{what} {getattr(self, key)}, not {getattr(other, key)}"
            for key, what in (
                ("name", "of"),
                ("group", "registered under"),
                ("dimensions", "along"),
                ("shape", "of shape"),
                ("together", "--zip"),
                ("repeats", "--repeat"),
                ("seed", "--seed"),
                ("bench", "on bench"),
            )
            if getattr(self, key) != getattr(other, key)
        ]
        mine, others = ({a.key: a.values for a in plan.axes} for plan in (self, other))
        found += [f"with other values of {key}" for key in mine if key in others and mine[key] != others[key]]
        for key in sorted({*self.constants, *other.constants}):
            a, b = (
                _written(plain(plan.constants[key])) if key in plan.constants else "(not given)"
                for plan in (self, other)
            )
            if a != b:
                found.append(f"with {key}={a}, not {b}")
        if self.bench == other.bench and self.texts != other.texts:
            found.append(f"on {self.bench} as it was, and that has changed since")
        return found

    @property
    def digest(self) -> str:
        """8 hexadecimal digits that differ between plans."""
        return hashlib.sha256(self.as_json().encode()).hexdigest()[:8]


def _number(*what: object) -> int:
    """63 bits that follow from ``what``."""
    text = json.dumps(what, sort_keys=True, default=plain)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1


def _exact(value: object) -> object:
    """The same for 1 and 1.0, other for any two numbers that differ."""
    if isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 53):
        return float(value).hex()
    return [_exact(item) for item in value] if isinstance(value, (list, tuple)) else value


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else _written(value)


def _written(value: Any) -> str:
    """As `labctl.bench.overrides.parse_assignments` reads it."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{','.join(_written(item) for item in value)}]"
    if isinstance(value, str):
        return value if parse_assignments([f"k={value}"])["k"] == value else f'"{value}"'
    return repr(value)
