"""A picture of a run, as notebooks show it."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.errors import ConfigurationError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """png: as it is shown. path: where it lies, if it does. figure: of what was just drawn, for who changes it."""

    png: bytes = field(repr=False)
    path: Path | None = None
    figure: Figure | None = field(default=None, repr=False)

    @classmethod
    def of(cls, figure: Figure, to: str | Path | None = None) -> Picture:
        """Draw it, and write it to a file if one is given. ConfigurationError if that cannot be written."""
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", dpi=90)
        picture = cls(drawn.getvalue(), None if to is None else Path(to), figure)
        if picture.path is not None:
            try:
                picture.path.write_bytes(picture.png)
            except OSError as error:
                raise ConfigurationError(f"cannot write the picture {to}: {error}; choose another place") from None
        return picture

    def _repr_png_(self) -> bytes:
        return self.png
