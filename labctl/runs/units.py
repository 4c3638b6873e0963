"""Units of series and results, from the ends of their names: run files keep numbers, and names say their unit."""

from __future__ import annotations

_UNITS = {
    "s": "s", "ms": "ms", "us": "us", "ns": "ns", "w": "W", "mw": "mW", "uw": "uW", "j": "J", "hz": "Hz", "khz": "kHz",
    "mhz": "MHz", "m": "m", "mm": "mm", "um": "um", "nm": "nm", "rad": "rad", "px": "px", "counts": "counts",
    "db": "dB",
}  # fmt: skip


def unit_of(name: str) -> str:
    """``exposure_s``: "s"; ``counts_per_s``: "counts/s"; "" for a pure number, or where the name tells nothing."""
    front, per, below = name.removesuffix("_err").removesuffix("_sd").rpartition("_per_")
    if per:
        above = _UNITS.get(front.rpartition("_")[2], "")
        return f"{above or '1'}/{_UNITS[below]}" if below in _UNITS else ""
    stem, _, end = below.rpartition("_")
    return _UNITS.get(end, "") if stem else ""
