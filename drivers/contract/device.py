"""What every device is: settings and operations, an identity, a safe state, calibrations in force."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray
from pydantic import BaseModel

from drivers.contract.values import Identity
from drivers.correction import Correction, calibration
from drivers.errors import ConfigurationError
from drivers.settings import Configurable, setting
from drivers.site import Site


class Device(Configurable):
    """An instrument with settings, operations and a safe state.

    A driver may declare ``Options``, a pydantic model of the keys it takes from the bench file besides its settings.
    """

    composite: ClassVar[bool] = False
    """Whether it is made of other devices of the bench, which must exist before it."""

    calibration_ids = setting(dict, read_only=True, doc="Ids of the calibrations in force on the device, by kind.")

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.corrections_held: dict[str, Correction | str] = {}
        """What the device's `calibration`s hold, by kind: a correction, or why one is refused."""
        self.allocate: Callable[[tuple[int, ...], DTypeLike], NDArray[Any]] = np.empty
        """Memory for an array that will be returned: shape, dtype. The device server sets it to its shared-memory
        ring, so that a driver writes frames where the client reads them; every call gives a fresh array."""

    @classmethod
    def build(cls, name: str, options: BaseModel | None, site: Site) -> Device:
        """Make the driver the bench file asks for. Nothing is connected before `open`."""
        return cls(name) if options is None else cls(name, **options.model_dump())

    def open(self) -> None:
        """Connect and bring the instrument to its safe state. May be called again after `close`."""

    def close(self) -> None:
        """Bring the instrument to its safe state and disconnect. Harmless when already closed."""
        self.safe()

    @abstractmethod
    def identity(self) -> Identity:
        """Model, serial number and firmware as the instrument reports them."""

    @abstractmethod
    def safe(self) -> None:
        """Emission off, shutters closed, acquisition stopped. Idempotent, from any thread, at any moment."""

    # --- frozen state; see `drivers.frozen` ---

    def frozen(self) -> dict[str, Any] | None:
        """All that a simulated device knows besides what its world does, as plain values; None for an instrument, which
        cannot be put back to where it was."""
        return None

    def thaw(self, kept: Any) -> None:
        """Go on from what `frozen` gave. Raises ConfigurationError, ValueError or TypeError if it does not fit."""
        raise ConfigurationError(f"{self.name}: an instrument cannot be put back to where it was")

    # --- calibrations, which the device server sets; see `drivers.correction` ---

    @classmethod
    def declared_calibrations(cls) -> dict[str, calibration[Any]]:
        """What the kind takes, by name, which is the calibration's kind."""
        found = {n: v for base in reversed(cls.__mro__) for n, v in vars(base).items() if isinstance(v, calibration)}
        return dict(found)

    def refuse_calibration(self, kind: str, reason: str) -> None:
        """From now on, until it is set anew, whatever needs this calibration raises CalibrationError."""
        setattr(self, kind, None)
        self.corrections_held[kind] = reason

    def _read_calibration_ids(self) -> dict[str, str]:
        return {kind: c.calibration_id for kind, c in self.corrections_held.items() if isinstance(c, Correction)}
