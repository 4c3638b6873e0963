"""The figure `prbm.train`: training in situ beside training by arithmetic."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from protocols.prbm.train import Train
from protocols.prbm.train_parameters import TrainParameters


class InSituParameters(TrainParameters):
    """As for the protocol, with chains by light."""

    sampler: Literal["photonic", "exact"] = Field("photonic", description="chains by light, or by arithmetic")


class InSitu(Train):
    """A machine whose chains went by light, and the same training by arithmetic; see `protocols.prbm.train.Train`."""

    Parameters = InSituParameters
