"""Where the calibrations of a bench lie."""

from __future__ import annotations

import os
from pathlib import Path


def store_folder(given: str | Path | None = None) -> Path:
    """``given`` (``[calibrations] folder``), else ``LABCTL_CALIBRATIONS``, else ``calibrations`` in the working
    directory, beside ``runs``.

    Absolute; not made here.
    """
    return Path(given or os.environ.get("LABCTL_CALIBRATIONS") or "calibrations").absolute()
