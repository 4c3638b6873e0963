"""The figure `prbm.train`: training in situ beside training by arithmetic."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from protocols.prbm.training.parameters import TrainParameters
from protocols.prbm.training.train import Train


class InSituParameters(TrainParameters):
    """As for the protocol, with chains by light."""

    sampler: Literal["photonic", "exact"] = Field("photonic", description="chains by light, or by arithmetic")


class InSitu(Train):
    """A machine whose chains went by light, and the same training by arithmetic; see `prbm.train`."""

    Parameters = InSituParameters
