"""A calibration as the bytes of one HDF5 file, and back. The id is the SHA-256 of these bytes.

Layout: attribute ``labctl_calibration`` (version of the layout), dataset ``header`` (JSON: everything but arrays),
``values/NAME`` with the attribute ``unit``, ``uncertainties/NAME`` where one is known.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np

from drivers.contract import Identity
from drivers.errors import CalibrationError
from labctl.store.calibration import Calibration, Check, Condition, Header, Measured, RunFile
from labctl.store.log import checks_table

LAYOUT = 1
CURE = "restore it from a backup or an export, or take it out of the folder and measure again"


def id_of(data: bytes) -> str:
    """The id of the calibration whose file holds ``data``."""
    return hashlib.sha256(data).hexdigest()


def encode(calibration: Calibration) -> bytes:
    """The file's bytes. Equal calibrations give equal bytes with the same version of HDF5."""
    import h5py  # heavy: only where there are calibrations

    # In memory: what is hashed is what is written, and no file is half made.
    with h5py.File("calibration", "w", driver="core", backing_store=False) as file:
        file.attrs["NX_class"] = "NXroot"
        file.attrs["labctl_calibration"] = LAYOUT
        header = json.dumps(header_of(calibration), sort_keys=True, ensure_ascii=False)
        file.create_dataset("header", data=header, dtype=h5py.string_dtype())
        values, errors = file.create_group("values", track_order=True), file.create_group("uncertainties")
        for name, measured in calibration.values.items():
            values.create_dataset(name, data=measured.value).attrs["unit"] = measured.unit
            if measured.uncertainty is not None:
                errors.create_dataset(name, data=measured.uncertainty)
        file.flush()
        image: bytes = file.id.get_file_image()
    return image


def check(data: bytes, wanted_id: str, where: str) -> None:
    """Raise CalibrationError unless ``data`` is the file of this calibration. where: file or archive, for the error."""
    found = id_of(data)
    if found != wanted_id:
        raise CalibrationError(
            f"{where} is not what was stored: {len(data)} bytes with SHA-256 {found[:12]}, it must be "
            f"{wanted_id[:12]}. The file was truncated or edited; {CURE}"
        )


def decode(data: bytes, wanted_id: str, where: str) -> Calibration:
    """The calibration in ``data``, after `check`. Raises CalibrationError also if it is something else."""
    import h5py

    check(data, wanted_id, where)
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            layout = int(file.attrs["labctl_calibration"])
            if layout != LAYOUT:
                raise CalibrationError(
                    f"{where} has layout {layout}, this version of labctl reads {LAYOUT}; use the version that wrote it"
                )
            header = json.loads(_own(file, "header", len(data)).asstr()[()])
            errors = {name: _own(file["uncertainties"], name, len(data))[()] for name in file["uncertainties"]}
            values = {}
            for name in file["values"]:
                dataset = _own(file["values"], name, len(data))
                values[name] = Measured(dataset[()], str(dataset.attrs["unit"]), errors.get(name))
        return Calibration(values=values, **header_fields(header), id=wanted_id)
    except CalibrationError:
        raise
    except Exception as error:  # noqa: BLE001 - HDF5 fails in any way on bytes that may be anybody's
        what = f"{type(error).__name__}: {error}"
        raise CalibrationError(f"{where} is no calibration of labctl ({what}); {CURE}") from None


def _own(group: Any, name: str, most_bytes: int) -> Any:
    """A dataset whose bytes are in the file itself, as `encode` writes them.

    ValueError for a link, for one that lies in another file, and for one that claims to be larger than its file: HDF5
    would follow, and make room.
    """
    import h5py

    dataset = group[name] if isinstance(group.get(name, getlink=True), h5py.HardLink) else None
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual or dataset.nbytes > most_bytes:
        raise ValueError(f"{name!r:.80} is not kept in the file as labctl keeps it")
    return dataset


# --- the header ---------------------------------------------------------------------------------------------------


def header_of(header: Header) -> dict[str, Any]:
    """Everything but arrays and the id, in JSON's types."""
    return {
        "kind": header.kind,
        "routine": header.routine,
        "bench": header.bench,
        "role": header.role,
        "devices": {
            role: {"model": who.model, "serial": who.serial, "firmware": who.firmware}
            for role, who in header.devices.items()
        },
        "conditions": {name: _number(c) for name, c in header.conditions.items()},
        "holds_while": [
            {"setting": c.setting, "low": float(c.low), "high": float(c.high), "unit": c.unit}
            for c in header.holds_while
        ],
        "made": header.made.isoformat(),
        "valid_until": header.valid_until.isoformat() if header.valid_until else None,
        "run": {"path": header.run.path, "sha256": header.run.sha256} if header.run else None,
        "parents": list(header.parents),
        "checks": checks_table(header.checks),
        "software": dict(header.software),
        "git": dict(header.git),
    }


def _number(condition: Measured) -> dict[str, Any]:
    error = condition.uncertainty
    return {
        "value": condition.number,
        "unit": condition.unit,
        "uncertainty": None if error is None else float(np.reshape(error, ())),
    }


def header_fields(header: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `Header` from a header. Raises KeyError, TypeError, ValueError or LimitError on what is none."""
    run, end = header["run"], header["valid_until"]
    return {
        "kind": header["kind"],
        "routine": header["routine"],
        "bench": header["bench"],
        "role": header["role"],
        "devices": {role: Identity(**who) for role, who in header["devices"].items()},
        "conditions": {
            name: Measured(c["value"], c["unit"], c["uncertainty"]) for name, c in header["conditions"].items()
        },
        # Not in files that were written before there were such conditions.
        "holds_while": tuple(Condition(**c) for c in header.get("holds_while", ())),
        "made": datetime.fromisoformat(header["made"]),
        "valid_until": datetime.fromisoformat(end) if end else None,
        "run": RunFile(**run) if run else None,
        "parents": tuple(header["parents"]),
        "checks": tuple(Check(**check) for check in header["checks"]),
        "software": dict(header["software"]),
        "git": dict(header["git"]),
    }
