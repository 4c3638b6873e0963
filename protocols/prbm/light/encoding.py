"""Spins and couplings as phases on the SLM: Eq. (1) of arXiv 2508.20472, one wavelength band per output spin.

Along a band stand one macro-pixel per input spin, one for the auxiliary spin that carries the output spin's field,
and one for the output spin itself:

    input spin i      phi = (pi/2) v_i + c arccos(W_ij / W_max)
    auxiliary spin    phi =  pi/2      + c arccos(b_j / W_max)
    output spin       phi = (pi/2) h_j

with c the checkerboard of +-1 inside a macro-pixel. On axis the field of band j is i A (L_j / W_max + h_j) in units of
one macro-pixel. Everything else that is lit shows phi = pi/2 + c pi/2, which sends no light to the axis.
Bands may show different input spins: neighbours of each spin in a sparse model, or those of several chains.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import hadamard

from labctl.client import ConfigurationError, Sequence
from protocols.prbm.light.alignment import PrbmAlignment
from protocols.prbm.light.layers import Layer

HALF_PI = math.pi / 2


@dataclass(frozen=True)
class Strip:
    """Where macro-pixels stand along a band: ``columns`` on the SLM from ``first_column`` on."""

    first_column: int
    macro_pixels: int
    pixels_per_spin: int

    @classmethod
    def on(cls, alignment: PrbmAlignment, slm_columns: int, n_spins: int, pixels_per_spin: int) -> Strip:
        """A strip centred on the optical axis with room for ``n_spins`` spins, the auxiliary and the output spin."""
        macro_pixels = n_spins + 2
        width = macro_pixels * pixels_per_spin
        first = alignment.centre_column - width // 2
        if first < 0 or first + width > slm_columns:
            room = 2 * min(alignment.centre_column, slm_columns - alignment.centre_column) // pixels_per_spin - 2
            raise ConfigurationError(
                f"{n_spins} spins of {pixels_per_spin} pixels do not fit the SLM's {slm_columns} columns around column "
                f"{alignment.centre_column}: at most {room} spins, or fewer pixels_per_spin"
            )
        return cls(first, macro_pixels, pixels_per_spin)

    @property
    def columns(self) -> int:
        """Width, SLM pixels."""
        return self.macro_pixels * self.pixels_per_spin


def macro_pixel_places(n_inputs: int, macro_pixels: int, output_at: str) -> tuple[NDArray[np.int64], int, int]:
    """Places of the input spins, the auxiliary and the output spin in a strip of ``macro_pixels``.

    ``output_at`` "centre" puts the output spin on the axis, where the window's finite width costs least; "end" is the
    paper's drawing. A strip wider than the layer keeps the layer in its middle.
    """
    spare = macro_pixels - n_inputs - 2
    first = spare // 2
    places = np.arange(first, first + n_inputs + 2)
    middle = n_inputs // 2
    if output_at == "centre":
        inputs = np.delete(places, [middle, middle + 1])
        return inputs, int(places[middle]), int(places[middle + 1])
    return places[:-2], int(places[-2]), int(places[-1])


class LayerEncoding:
    """Phases for sampling one layer given other spins.

    Outputs that are more than the table has bands are split into passes. Angles are worked out once; `sequence` only
    adds the spins. flips: "single" or "hadamard", how output spins are flipped.
    """

    def __init__(
        self, layer: Layer, alignment: PrbmAlignment, strip: Strip, output_at: str = "centre", flips: str = "hadamard"
    ) -> None:
        self._alignment = alignment
        self._strip = strip
        self._inputs, self._auxiliary, self._output = macro_pixel_places(layer.width, strip.macro_pixels, output_at)
        self._output_column = strip.first_column + self._output * strip.pixels_per_spin
        most = Flips.most(flips, alignment.bands)
        self.passes = [
            LayerPass(range(first, min(first + most, layer.n_outputs)), flips)
            for first in range(0, layer.n_outputs, most)
        ]
        shape = (alignment.rows_per_band, strip.pixels_per_spin)
        self._flipped = np.full((1, *shape), -HALF_PI)
        self._checkers = _checkerboard(alignment, strip)
        self.program(layer)

    @property
    def n_outputs(self) -> int:
        """Spins whose fields are measured."""
        return self.layer.n_outputs

    def program(self, layer: Layer) -> None:
        """Angles for the couplings and fields of a layer of the same shape."""
        self.layer = layer
        self.wmax = layer.largest
        """max(|W|, |b|), the coupling that one macro-pixel of full contrast stands for."""
        self.scale = self.wmax if self.wmax > 0 else 1.0
        dark = (1 - (layer.couplings / self.scale) ** 2).sum(axis=1) + 1 - (layer.fields / self.scale) ** 2
        self.level_gain = np.sqrt(dark / 24)
        """(outputs,) error of L / W_max by phases rounded to levels, for levels 1 rad apart, when they are dithered."""
        alignment, strip = self._alignment, self._strip
        for part in self.passes:
            lit = len(part.outputs)
            angles = np.full((alignment.bands, strip.macro_pixels), HALF_PI)  # dark unless told otherwise
            angles[:lit, self._inputs] = self._angles(layer.couplings[part.chosen])
            angles[:lit, self._auxiliary] = self._angles(layer.fields[part.chosen])
            angles[:lit, self._output] = 0.0
            # In double precision: a phase rounded to single may fall to another gray level than the nearest.
            part.angles = _spread(angles, alignment, strip) * self._checkers
            part.origins = np.column_stack(
                [
                    alignment.first_row + alignment.rows_per_band * np.arange(lit),
                    np.full(lit, self._output_column),
                ]
            ).astype(np.int32)

    def set_fields(self, fields: NDArray[np.float64]) -> None:
        """Other fields (outputs,): only the auxiliary spins' macro-pixels are rewritten.

        Raises ConfigurationError for fields beyond what the encoding was made for.
        """
        largest = float(np.abs(fields).max(initial=0.0))
        if largest > self.wmax:
            raise ConfigurationError(
                f"a field of {largest:.4g}: the encoding reaches {self.wmax:.4g}; give the layer a largest_field that "
                "holds for all that will be set"
            )
        self.layer = self.layer.with_fields(fields)
        rows, width = self._alignment.rows_per_band, self._strip.pixels_per_spin
        columns = slice(self._auxiliary * width, (self._auxiliary + 1) * width)
        for part in self.passes:
            lit = slice(0, len(part.outputs) * rows)
            angles = self._angles(self.layer.fields[part.chosen]).repeat(rows)
            part.angles[lit, columns] = angles[:, None] * self._checkers[lit, columns]

    def _angles(self, couplings: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.arccos(np.clip(couplings / self.scale, -1, 1)))

    def sequence(self, part: LayerPass, spins: NDArray[np.int8], sign: int = 1, offset: float = 0.0) -> Sequence:
        """Patterns of one pass: the base has every output spin at +1, the flips turn some of them.

        spins: (n_inputs,) given. sign: -1 turns all input spins and the auxiliary spin, and with them every local
        field. offset: a phase common to all pixels, which no intensity knows of.
        """
        outputs, rows = len(part.outputs), self._alignment.rows_per_band
        signs = np.full((outputs, self._strip.macro_pixels), HALF_PI)
        signs[:, self._inputs] = (HALF_PI * sign) * spins[self.layer.inputs[part.chosen]]
        signs[:, self._auxiliary] = HALF_PI * sign
        lit = outputs * rows
        base = np.empty_like(part.angles)
        by_band = (outputs, rows, self._strip.columns)
        columns = signs.repeat(self._strip.pixels_per_spin, axis=1)
        np.add(part.angles[:lit].reshape(by_band), columns[:, None], out=base[:lit].reshape(by_band))
        base[lit:] = part.angles[lit:] + HALF_PI  # dark, and at rest whatever the spins are
        if offset:
            base += offset
        return Sequence(
            base=base,
            base_origin=(self._alignment.first_row, self._strip.first_column),
            patches=np.broadcast_to(self._flipped + offset, (outputs, *self._flipped.shape[1:])),
            patch_origins=part.origins,
            offsets=part.flips.offsets,
            indices=part.flips.indices,
        )


class LayerPass:
    """Output spins that are lit together, and how they are flipped."""

    def __init__(self, outputs: range, flips: str) -> None:
        self.outputs = outputs
        self.chosen = slice(outputs.start, outputs.stop)
        self.flips = Flips.named(flips, len(outputs))
        self.angles: NDArray[np.float64] = np.empty(0)
        self.origins: NDArray[np.int32] = np.empty((0, 2), np.int32)


@dataclass(frozen=True)
class Flips:
    """Which output spins are flipped in which pattern, and how intensities turn into local fields.

    offsets, indices: pattern k flips spins ``indices[offsets[k]:offsets[k+1]]``. Pattern 0 flips none.
    """

    offsets: NDArray[np.int32]
    indices: NDArray[np.int32]
    code: NDArray[np.float64] | None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @classmethod
    def single(cls, outputs: int) -> Flips:
        """The paper's: every output spin flipped alone, after one pattern with none flipped."""
        offsets = np.concatenate([[0], np.arange(outputs + 1)]).astype(np.int32)
        return cls(offsets, np.arange(outputs, dtype=np.int32), None)

    @classmethod
    def hadamard(cls, outputs: int) -> Flips:
        """Half of the spins flipped in every pattern, by the columns of a Hadamard matrix other than the first.

        Each coupling is then seen in every frame: for 196 spins, eleven times less shot noise from 1.3 times the
        frames.
        """
        order = 1 << outputs.bit_length()  # the next power of two above the number of spins
        code = hadamard(order, dtype=np.int8)[:, 1 : outputs + 1]
        flipped = [np.flatnonzero(row < 0).astype(np.int32) for row in code]
        offsets = np.concatenate([[0], np.cumsum([len(f) for f in flipped])]).astype(np.int32)
        return cls(offsets, np.concatenate(flipped), code.astype(np.float64))

    @staticmethod
    def most(kind: str, bands: int) -> int:
        """Outputs of a full pass: a Hadamard matrix's columns but the first, since one more doubles the patterns."""
        return bands if kind == "single" else (1 << (bands + 1).bit_length() - 1) - 1

    @staticmethod
    @functools.lru_cache(maxsize=16)
    def named(kind: str, outputs: int) -> Flips:
        """ "single" or "hadamard"; those of one size are one object."""
        return Flips.single(outputs) if kind == "single" else Flips.hadamard(outputs)

    def contrasts(self, intensities: NDArray[np.float64]) -> NDArray[np.float64]:
        """I(h_j = +1) - I(h_j = -1) = 4 L_j / W_max for each output spin, from the intensity of every pattern.

        Intensities in units of one macro-pixel's. Single flips: I_0 - I_j. Hadamard code H: sum_k H_kj I_k / (n/2).
        """
        if self.code is None:
            contrasts: NDArray[np.float64] = intensities[0] - intensities[1:]
            return contrasts
        return np.asarray(self.code.T @ intensities * (2.0 / len(self)))

    def predicted_noise(
        self, electrons: NDArray[np.float64], unit_e: float, dark_e: float = 0.0
    ) -> NDArray[np.float64]:
        """Standard deviation of each L / W_max by shot noise, and by noise in the dark.

        electrons: (patterns,) in the window. unit_e: electrons of one macro-pixel's intensity. dark_e: standard
        deviation of the window without light. With N_e electrons in every pattern of total intensity I_tot it is
        (1/4) I_tot sqrt(2 / N_e) for single flips and (1/2) I_tot / sqrt(n N_e) for n coded ones.
        """
        variance = np.maximum(electrons, 0.0) + dark_e**2
        if self.code is None:
            return np.asarray(np.sqrt(variance[0] + variance[1:]) / (4.0 * unit_e))
        outputs = self.code.shape[1]
        return np.full(outputs, np.sqrt(variance.sum()) / (2.0 * len(self) * unit_e))


def reference_sequence(
    alignment: PrbmAlignment,
    strip: Strip,
    outputs: int,
    lit_inputs: int,
    n_inputs: int,
    output_at: str,
    repeats: int,
) -> Sequence:
    """Patterns of known intensity: (K+1)^2, (K-1)^2 and 0 per band, ``repeats`` times each in turn.

    In every band K = ``lit_inputs`` macro-pixels shine in phase and the rest is dark; they lie at other places in each
    band, so that the mean over the bands samples the illumination of the whole strip.
    """
    inputs, auxiliary, output = macro_pixel_places(n_inputs, strip.macro_pixels, output_at)
    candidates = np.append(inputs, auxiliary)
    angles = np.full((alignment.bands, strip.macro_pixels), HALF_PI)
    chooser = np.random.default_rng(0)  # a fixed pattern of the method, not a random number of the experiment
    for band in range(outputs):
        angles[band, chooser.permutation(candidates)[:lit_inputs]] = 0.0
        angles[band, output] = 0.0
    base = _spread(angles, alignment, strip) * _checkerboard(alignment, strip) + HALF_PI
    band_shape = (alignment.rows_per_band, strip.columns)
    flipped = np.stack([_rows_of(base, b, alignment) for b in range(outputs)])
    left = output * strip.pixels_per_spin
    flipped[:, :, left : left + strip.pixels_per_spin] = -HALF_PI
    dark_band = HALF_PI * (1 + _checkerboard(alignment, strip)[: alignment.rows_per_band])
    dark = np.broadcast_to(dark_band, (outputs, *band_shape))
    rows = alignment.first_row + alignment.rows_per_band * np.arange(outputs)
    origins = np.column_stack([rows, np.full(outputs, strip.first_column)]).astype(np.int32)
    one_round = [[], list(range(outputs)), list(range(outputs, 2 * outputs))]
    frames = one_round * repeats
    return Sequence(
        base=base,
        base_origin=(alignment.first_row, strip.first_column),
        patches=np.concatenate([flipped, dark]),
        patch_origins=np.concatenate([origins, origins]),
        offsets=np.concatenate([[0], np.cumsum([len(f) for f in frames])]).astype(np.int32),
        indices=np.array([i for f in frames for i in f], np.int32),
    )


def dark_panel(alignment: PrbmAlignment, slm_rows: int, slm_columns: int) -> NDArray[np.float64]:
    """A checkerboard of 0 and pi over the whole panel: no light on axis from anywhere."""
    rows, columns = np.arange(slm_rows)[:, None], np.arange(slm_columns)[None, :]
    return np.asarray(HALF_PI * (1 + _sign(rows - alignment.first_row, columns)), np.float64)


def _sign(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.int64]:
    return 1 - 2 * ((rows + columns) & 1)


def _checkerboard(alignment: PrbmAlignment, strip: Strip) -> NDArray[np.int64]:
    rows = np.arange(alignment.bands * alignment.rows_per_band)[:, None]
    return _sign(rows, np.arange(strip.columns)[None, :])


def _spread(values: NDArray[np.float64], alignment: PrbmAlignment, strip: Strip) -> NDArray[np.float64]:
    """One value per band and macro-pixel to one per SLM pixel."""
    return values.repeat(alignment.rows_per_band, axis=0).repeat(strip.pixels_per_spin, axis=1)


def _rows_of(base: NDArray[np.float64], band: int, alignment: PrbmAlignment) -> NDArray[np.float64]:
    first = band * alignment.rows_per_band
    return base[first : first + alignment.rows_per_band].copy()
