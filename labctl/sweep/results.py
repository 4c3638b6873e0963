"""Results of a sweep as arrays, read from its file, also while it is measured or after it was killed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from drivers.errors import ConfigurationError
from labctl.sweep import file
from labctl.sweep.plan import Plan
from labctl.sweep.points import Failure
from labctl.sweep.tables import Tables, tabulate

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True)
class Sweep:
    """What a sweep has found so far.

    status: "running" (also if it was killed), "complete", "complete, with failures", "interrupted" or "failed: …".
    failures: by the number of the point, why it has no values.
    """

    plan: Plan
    status: str
    tables: Tables
    failures: dict[int, Failure]

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Names of the axes, first to last."""
        return self.plan.dimensions

    @property
    def coordinates(self) -> dict[str, NDArray[Any]]:
        """Values of the parameters that were varied, by name."""
        return self.tables.coordinates

    @property
    def values(self) -> dict[str, NDArray[Any]]:
        """The experiment's values by name, (*one dimension for each axis, …); nan or "" where none is measured."""
        return self.tables.values

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self.values:
            raise ConfigurationError(
                f"{self.plan.name} has no value {name!r}; it has {', '.join(self.values) or 'none'}"
            )
        return self.values[name]

    def to_xarray(self) -> xarray.Dataset:
        """The same as a data set with labelled dimensions. ConfigurationError without the package xarray."""
        try:
            import xarray
        except ImportError:
            raise ConfigurationError("xarray is not installed; pip install 'labctl[xarray]'") from None
        units = {axis.key: axis.unit for axis in self.plan.axes if axis.unit}
        coordinates = {
            name: (
                (name,) if name in self.dimensions else self.dimensions[:1],
                values,
                {"units": units[name]} if name in units else {},
            )
            for name, values in self.coordinates.items()
        }
        # A value may have the name of a parameter that was varied.
        variables = {name if name not in coordinates else f"{name}_found": array for name, array in self.values.items()}
        variables |= {"point_status": self.tables.status, "point_seed": self.tables.seed}
        return xarray.Dataset(
            {name: (self._dimensions_of(name, array), array) for name, array in variables.items()},
            coordinates,
            {"experiment": self.plan.name, "status": self.status},
        )

    def _dimensions_of(self, name: str, array: NDArray[Any]) -> tuple[str, ...]:
        own = array.ndim - len(self.dimensions)
        return (*self.dimensions, *(f"{name}_{n}" for n in range(own)))


def open_sweep(path: str | Path) -> Sweep:
    """Read a sweep. ConfigurationError if the file is none."""
    plan, measured, status = file.read(Path(path))
    failures = {index: point.error for index, point in sorted(measured.items()) if point.error is not None}
    return Sweep(plan, status, tabulate(plan, measured), failures)
