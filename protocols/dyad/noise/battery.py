"""The statistical tests of NIST SP 800-22 on a sequence of bits, and the rule by which it passes or fails.

The tests are NIST's own program, as the package sp80022suite wraps it (extra ``random``). It runs in a process of its
own: the program looks for its templates in the working directory, and holds the interpreter while it counts.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt

from labctl.client import ConfigurationError
from protocols.dyad.noise.entropy.estimate import as_bits

PACKAGE = "sp80022suite"
LEAST_BITS = 1_000_000
"""As the standard asks for its tests of linear complexity, templates and excursions."""

LEVEL = 1e-3
"""Chance that ideal bits fail."""

TEMPLATE = 9
"""Bits of a template, as in the standard's examples."""

# Test, its first argument (block length), and of how many p-values the program gives the least.
TESTS: tuple[tuple[str, int | None, int], ...] = (
    ("frequency", None, 1),
    ("block_frequency", 128, 1),
    ("cumulative_sums", None, 2),
    ("runs", None, 1),
    ("longest_run_of_ones", None, 1),
    ("rank", None, 1),
    ("discrete_fourier_transform", None, 1),
    ("non_overlapping_template_matchings", TEMPLATE, 148),
    ("overlapping_template_matchings", TEMPLATE, 1),
    ("universal", None, 1),
    ("approximate_entropy", 10, 1),
    ("random_excursions", None, 8),
    ("random_excursions_variant", None, 18),
    ("linear_complexity", 500, 1),
    ("serial", 16, 2),
)

_TIMEOUT_S = 600.0

_PROGRAM = """
import json, sys
import sp80022suite
bits = sys.stdin.buffer.read()
found = {}
for name, argument in json.loads(sys.argv[1]):
    try:
        found[name] = getattr(sp80022suite, name)(*([] if argument is None else [argument]), bits)
    except ValueError as error:
        if "cycles" not in str(error):
            raise
        found[name] = None
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Verdict:
    """What the battery found.

    p_values: by test, each times the number of p-values of which it is the least, at most 1 (Bonferroni); None where
    a test does not apply: excursions need 500 returns to zero, which a third of ideal sequences of a million lack.
    """

    p_values: dict[str, float | None]
    level: float = LEVEL

    @property
    def threshold(self) -> float:
        """Below which one p-value fails the whole."""
        return self.level / len(TESTS)

    @property
    def failed(self) -> tuple[str, ...]:
        """The tests that fail."""
        return tuple(name for name, p in self.p_values.items() if p is not None and p < self.threshold)

    @property
    def passed(self) -> bool:
        """Whether none does: of ideal bits all but one sequence in a thousand, or more of them."""
        return not self.failed

    @property
    def least(self) -> float:
        """The least p-value."""
        return min(p for p in self.p_values.values() if p is not None)


def check_installed() -> None:
    """ConfigurationError, with its cure, where the package is missing."""
    if importlib.util.find_spec(PACKAGE) is None:
        raise ConfigurationError(
            f"the package {PACKAGE} (NIST's SP 800-22 tests) is not installed; pip install 'labctl[random]', which "
            "needs a C compiler and Python's headers (Debian: gcc, python3-dev)"
        )


def run_battery(bits: npt.NDArray[np.generic], level: float = LEVEL) -> Verdict:
    """All tests on bits (n,) of 0 and 1, a million or more; about 3 s for each million.

    Raises ConfigurationError for fewer bits, other values, or where the package is missing.
    """
    p_values = run_tests(as_bits(bits, LEAST_BITS), TESTS, templates(TEMPLATE))
    return Verdict(
        {
            name: None if p_values[name] is None else min(1.0, count * p_values[name])  # type: ignore[operator]
            for name, _, count in TESTS
        },
        level,
    )


def run_tests(
    bits: npt.NDArray[np.uint8], tests: tuple[tuple[str, int | None, int], ...], words: npt.NDArray[np.uint8]
) -> dict[str, float | None]:
    """p-values of ``tests`` as the program gives them. words: templates (k, 9) that it counts."""
    check_installed()
    with tempfile.TemporaryDirectory(prefix="labctl-sp80022-") as folder:
        place = Path(folder, "templates")
        place.mkdir()
        lines = "\n".join(" ".join(map(str, word)) for word in words)
        (place / f"template{words.shape[1]}").write_text(lines + "\n")
        asked = json.dumps([(name, argument) for name, argument, _ in tests])
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, asked],
            input=bits.tobytes(),
            capture_output=True,
            cwd=folder,
            timeout=_TIMEOUT_S,
            check=False,
        )
    if done.returncode:
        raise ConfigurationError(f"{PACKAGE} failed ({done.returncode}): {done.stderr.decode(errors='replace')[-500:]}")
    found: dict[str, float | None] = json.loads(done.stdout.splitlines()[-1])  # it also prints what underflows
    return found


def templates(length: int) -> npt.NDArray[np.uint8]:
    """All words (k, length) of bits that cannot overlap themselves (SP 800-22, Section 2.7): 148 of nine bits."""
    words = [
        word
        for word in product((0, 1), repeat=length)
        if all(word[shift:] != word[: length - shift] for shift in range(1, length))
    ]
    return np.array(words, np.uint8)
