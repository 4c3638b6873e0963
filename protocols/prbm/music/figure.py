"""`prbm.music` as a figure: pieces by light are nearer to held-out tunes than notes drawn one by one."""

from __future__ import annotations

from pydantic import Field

from labctl.client import Figure
from protocols.prbm.music.music import Music, MusicParameters


class MusicFigureParameters(MusicParameters):
    """As for the protocol, with as many pieces as histograms need, and as two passes hold.

    Pieces differ: two of them are 0.14 +- 0.03 from the degrees of held-out tunes, as far as two real tunes, five are
    0.13 +- 0.02; the baseline is 0.17 +- 0.01.
    """

    pieces: int = Field(5, ge=1, le=1000, description="played side by side, in the same patterns as far as bands go")


class MusicFigure(Music, Figure):
    """Held-out likelihood that rises with training, and pieces by light nearer to held-out tunes than a baseline.

    Values as those of the protocol.
    """

    Parameters = MusicFigureParameters

    def targets(self, parameters: MusicFigureParameters) -> dict[str, dict[str, float]] | None:
        """Promised for the whole collection and the run's own training."""
        p = parameters
        if p != MusicFigureParameters(data=p.data, judged=p.judged):
            return None
        better = {f"better_{kind}": {"min": 0.0} for kind in ("degrees", "melody", "harmony")}
        return {"log_likelihood_gain": {"min": 5.0}, "r": {"min": 0.99}, **better}
