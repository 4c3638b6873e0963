"""What ``--set`` may be: lists of one, lists as text, and refusals that name the value and what is allowed."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import model_validator

from labctl.client import ConfigurationError, Parameters
from labctl.experiments.execute import check_parameters


class Some(Parameters):
    sizes: tuple[int, ...] = (1, 2)
    names: tuple[str, ...] = ()
    pair: tuple[float, float] = (0.0, 1.0)

    @model_validator(mode="after")
    def _fit(self) -> Some:
        if self.names and len(self.names) != len(self.sizes):
            raise ValueError(f"names={self.names}: as many as sizes={self.sizes} are needed")
        return self


@pytest.mark.parametrize(
    ("given", "found"),
    [(3, (3,)), ("3", (3,)), ("3,4", (3, 4)), ([3, 4], (3, 4)), ((3,), (3,))],
)
def test_a_list_may_be_one_value_or_text(given: Any, found: tuple[int, ...]) -> None:
    assert check_parameters("some", Some, {"sizes": given}).sizes == found


def test_one_name_is_a_list_of_names() -> None:
    assert check_parameters("some", Some, {"sizes": 5, "names": "five"}).names == ("five",)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"sizes": "large"}, "--set sizes=large: Input should be a valid integer"),
        ({"sizes": ""}, "--set sizes=: Input should be a valid integer"),
        ({"sizes": True}, "--set sizes=True"),
        ({"pair": 3.0}, "--set pair=3.0"),
        ({"names": "a"}, r"^names=\('a',\): as many as sizes="),
    ],
)
def test_what_is_refused_is_named(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        check_parameters("some", Some, given)
