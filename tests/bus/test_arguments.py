"""Arguments of operations that are of the wrong kind are refused with the cure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from drivers.contract import Device, Identity
from drivers.errors import LimitError
from labctl.server.arguments import check_arguments


class Painter(Device):
    """Paints."""

    def identity(self) -> Identity:
        return Identity("painter", "1", "1")

    def safe(self) -> None:
        pass

    def paint(self, picture: NDArray[np.floating[Any]], times: int = 1) -> None:
        """Paint it so often."""


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([[[0.0, 1.0]]], r"painter\.paint: argument picture = .* numpy\.asarray"),
        ([np.zeros((1, 2)), "twice"], r"painter\.paint: argument times = 'twice' does not fit; .*times: 'int' = 1"),
        ([], r"painter\.paint.*missing a required argument: 'picture'"),
    ],
    ids=("a list for an array", "a word for a number", "nothing"),
)
def test_what_does_not_fit_is_told_with_the_cure(given: list[Any], told: str) -> None:
    with pytest.raises(LimitError, match=told):
        check_arguments(Painter("painter"), "paint", given, {})
