"""Closed forms of what random bits and noise images of n dyads cost: today's table, and lattices to come."""

from __future__ import annotations

from dataclasses import dataclass

SCHEMES = ("camera", "diodes", "light")
"""What limits a lattice to come: a camera's pixel rate, a pair of diodes for every dyad, or its pulses alone."""


@dataclass(frozen=True)
class Today:
    """What was measured: n dyads, one condensation of each in a frame of frame_s; pump_w, peak power of the laser;
    pixels, of the region that is read out."""

    n: int
    frame_s: float
    pump_w: float
    pixels: int

    @property
    def bits_per_s(self) -> float:
        """Raw ones."""
        return self.n / self.frame_s


@dataclass(frozen=True)
class Lattice:
    """What is assumed of lattices to come.

    pulse_s: length of a pump pulse. repetition_hz: of pulses, no faster than the sample and its reservoir forget.
    pixel_rate: pixels that a camera reads out in a second. pixels: per dyad. diode_j: to detect and latch a bit with
    diodes. laser_efficiency: light from electricity. standing_w: electric power of all that runs anyhow.
    """

    pulse_s: float
    repetition_hz: float
    pixel_rate: float
    pixels: float
    diode_j: float
    laser_efficiency: float
    standing_w: float


@dataclass(frozen=True)
class Projected:
    """Of n dyads: rounds_per_s, condensations of the whole lattice in a second; peak and average power of the pump."""

    n: int
    scheme: str
    rounds_per_s: float
    bits_per_s: float
    peak_w: float
    pump_w: float
    electric_w: float
    j_per_bit: float
    images_per_s: float
    j_per_image: float


def project(n: int, scheme: str, today: Today, a: Lattice, events: int) -> Projected:
    """A lattice of n dyads, each pumped as today's; an image is n pixels, each the sum of so many events of its dyad.

    The pump is on in pulses only, so that its average power is peak power, pulse and rate together. A camera integrates
    an image's events before it is read out, diodes count them.
    """
    by_camera = a.pixel_rate / (a.pixels * n)
    rounds = min(a.repetition_hz, by_camera) if scheme == "camera" else a.repetition_hz
    images = min(a.repetition_hz / events, by_camera) if scheme == "camera" else a.repetition_hz / events
    peak_w = today.pump_w * n / today.n
    detecting_j = a.diode_j if scheme == "diodes" else 0.0

    def electric_w(pulses_per_s: float) -> float:
        light_w = peak_w * a.pulse_s * pulses_per_s
        return a.standing_w + light_w / a.laser_efficiency + detecting_j * n * pulses_per_s

    bits = n * rounds
    return Projected(
        n=n,
        scheme=scheme,
        rounds_per_s=rounds,
        bits_per_s=bits,
        peak_w=peak_w,
        pump_w=peak_w * a.pulse_s * rounds,
        electric_w=electric_w(rounds),
        j_per_bit=electric_w(rounds) / bits,
        images_per_s=images,
        j_per_image=electric_w(images * events) / images,
    )
