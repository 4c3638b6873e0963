"""The store of calibrations: append-only, content-addressed files, and logs of which are in force and hold.

    store = Store("calibrations")
    id = store.add(Calibration(kind="dark", routine="camera.dark", bench="table-1", role="camera", devices=..., ...))
    store.use(id)
    offset = store.in_force("table-1", "camera", "dark")["offset_counts"]

Nothing in it is changed or removed: a new measurement is a new file, and what it replaces stays.
"""

from labctl.store.calibration import Calibration, Check, Condition, Header, Measured, RunFile
from labctl.store.folder import store_folder
from labctl.store.log import Use, Verdict
from labctl.store.store import InForce, Store

__all__ = [
    "Calibration",
    "Check",
    "Condition",
    "Header",
    "InForce",
    "Measured",
    "RunFile",
    "Store",
    "Use",
    "Verdict",
    "store_folder",
]
