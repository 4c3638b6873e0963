"""Feeds devices the calibrations in force on their bench, and tells clients which they are.

Each process of a bench reads the store by itself: the files are the same for all.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from drivers.contract import Correction, Device, Value
from drivers.errors import CalibrationError, LabError
from labctl.bench.config import BenchConfig
from labctl.bench.load import bench_argument
from labctl.store.file import header_of
from labctl.store.log import verdict_table
from labctl.store.store import InForce, Store
from labctl.store.verdict import cure, objections, refusal, settings_needed

log = logging.getLogger(__name__)

OnRefusal = Literal["mark", "raise", "leave out"]


class Feeder:
    """The calibrations of one bench, for the devices in this process."""

    def __init__(self, config: BenchConfig) -> None:
        self._config = config
        self.store = Store(config.calibrations_folder)

    def feed(self, devices: Iterable[Device], on_refusal: OnRefusal) -> None:
        """Give every device what is in force for it, and take away what no longer is.

        on_refusal: what to do about a calibration that is stale, foreign, drifted, damaged or does not fit. "mark": the
        device refuses whatever needs it. "raise": that too, and CalibrationError when all devices have been fed. "leave
        out": as if there were none, which is what calibrating it anew needs.
        """
        takers = [device for device in devices if device.declared_calibrations()]
        try:
            in_force = {(f.use.role, f.use.kind): f for f in self.store.all_in_force(self._config.name)}
        except CalibrationError as error:  # it is not known what is in force: nothing is to be used
            for device in takers:
                for kind in device.declared_calibrations():
                    self._refuse(device, kind, str(error), on_refusal)
            if on_refusal == "raise":
                raise
            return
        refused = []
        for device in takers:
            for kind in device.declared_calibrations():
                chosen = in_force.get((device.name, kind))
                reason = self._feed_one(device, kind, chosen)
                if reason:
                    self._refuse(device, kind, reason, on_refusal)
                    refused.append(reason)
        if refused and on_refusal == "raise":
            raise CalibrationError("\n".join(refused))

    def _feed_one(self, device: Device, kind: str, chosen: InForce | None) -> str:
        """Why it is refused, "" if it is not."""
        if chosen is None:
            if kind in device.corrections_held:
                setattr(device, kind, None)
            return ""
        header = chosen.header
        try:
            found = objections(
                header,
                {device.name: device.identity()},
                role=device.name,
                verdict=chosen.verdict,
                settings=_settings(device, settings_needed(header, device.name)),
            )
            why = refusal(found, self._config.calibrations.accept)
            if why:
                what = cure(header.routine, bench_argument(self._config), list(found))
                return f"{device.name}: the calibration {header.title} {why}; {what}"
            held = device.corrections_held.get(kind)
            if not (isinstance(held, Correction) and held.calibration_id == header.id):
                setattr(device, kind, self._correction(device, kind, header.id))
        except LabError as error:
            return f"{device.name}: the calibration {header.title} cannot be used: {error}"
        return ""

    def _correction(self, device: Device, kind: str, calibration_id: str) -> Value:
        calibration = self.store.get(calibration_id)
        value_type = device.declared_calibrations()[kind].value_type
        fields: dict[str, Any] = {}
        for name in value_type.__struct_fields__:
            if name in calibration.values:
                value = calibration[name]
                fields[name] = value if value.ndim else value[()].item()
        try:
            made: Value = value_type(calibration_id=calibration_id, **fields)
        except TypeError as error:
            raise CalibrationError(
                f"it has no {str(error).removeprefix('Missing required argument ')}; a {kind} needs "
                f"{', '.join(f for f in value_type.__struct_fields__ if f != 'calibration_id')}"
            ) from None
        return made

    def _refuse(self, device: Device, kind: str, reason: str, on_refusal: OnRefusal) -> None:
        if on_refusal == "leave out":
            setattr(device, kind, None)
            return
        device.refuse_calibration(kind, reason)
        log.warning("%s", reason, extra={"device": device.name})

    # --- for clients ------------------------------------------------------------------------------------------------

    def told(self) -> dict[str, Any]:
        """The folder, and what is in force: decision and header of each, in plain types."""
        return {
            "folder": str(self.store.path),
            "in_force": [
                {"role": f.use.role, "kind": f.use.kind, "id": f.use.id, "who": f.use.who, "utc_ns": f.use.utc_ns,
                 "note": f.use.note, "header": header_of(f.header),
                 "verdict": None if f.verdict is None else verdict_table(f.verdict)}
                for f in self.store.all_in_force(self._config.name)
            ],
        }  # fmt: skip

    def file(self, calibration_id: str) -> NDArray[np.uint8]:
        """The bytes of a calibration's file, checked; whoever gets them checks them again."""
        try:
            data = self.store.read(calibration_id)
        except OSError as error:
            raise CalibrationError(f"the calibration {calibration_id:.12} cannot be read: {error}") from None
        return np.frombuffer(data, np.uint8)


def _settings(device: Device, names: Iterable[str]) -> dict[str, float]:
    """Values of those of the settings ``ROLE.SETTING`` that are numbers of this device."""
    found = {}
    for name in names:
        role, _, setting = name.rpartition(".")
        if role == device.name and setting in device.declared_settings():
            value = getattr(device, setting)
            if isinstance(value, (int, float)):
                found[name] = float(value)
    return found
