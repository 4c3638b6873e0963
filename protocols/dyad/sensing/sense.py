"""`dyad.sense`: a weak local disturbance told by p_1, and a map of the sample's defects."""

from __future__ import annotations

from typing import Any

from labctl.client import Bench, Figure, Recorder
from protocols.dyad.sensing.counting import count, slope_shifts
from protocols.dyad.sensing.detection import Blocks, findings, judge
from protocols.dyad.sensing.detection_picture import draw_detection
from protocols.dyad.sensing.map_picture import draw_map
from protocols.dyad.sensing.parameters import SenseParameters
from protocols.dyad.sensing.survey import map_findings, mapped, survey
from protocols.dyad.table.lattice import DYAD_ALIGNMENTS, DYAD_ROLES
from protocols.dyad.table.reading import compile_kernels


class Sense(Figure):
    """mode=detect: a probe shifts g of one condensate. It is told by |z| of any dyad's p_1 against a reference.

    Values: `target` (row, column of the dyad under the probe, by all blocks of the strongest one); `dg_per_w` and its
    error, from the shift of p_1, the slope dp_1/d ln r_gamma (`slope`), by how much that is misread besides counting
    (`slope_misread`, relative), and Eq. (5); `dg` at each power; `detection`
    (powers x trials) with `detection_err`, `predicted`, and `curve` at `curve_dg`: shares of blocks with an alarm;
    `located`: in how many of these by the right dyad; `dyad_detection`, `dyad_predicted`: of that dyad by itself;
    `smallest_dg`: what is detected in 95 % of blocks of each number of trials, predicted, and `smallest_dg_seen`, that
    divided by `scale`: how much larger the disturbance seems by the detections than by p_1. `false_alarm`, stated for
    the lattice, and `false_alarm_measured` by trials, with error, `false_alarm_away` in errors for the most trials;
    `dyad_false_alarm` of a dyad, likewise. `drift`: of p_1 from block to block.

    mode=map: `places`, from so many `differences`; `dg_rel`, `dg_rel_err` (places,) at `place_px`, camera pixels, what
    g would have to be above the mean, relatively, if the pump's efficiency were the same everywhere; `spread` of it
    over the sample, `alike` over so many units of the hologram's transform, `spots` of ln r_gamma by what goes along
    with the lattice, `sd` of a place on the average, `measured_sd` of a difference by counting, `step` from a dyad's
    first place to its second all over the sample; `certain`, `suspected`: places that stand out at the false-alarm rate
    of the map, and of a place; `defects`: the certain ones.
    """

    Parameters = SenseParameters
    bench = "dyad-sim"
    roles = DYAD_ROLES
    alignments = DYAD_ALIGNMENTS

    def targets(self, parameters: SenseParameters) -> dict[str, dict[str, float]] | None:
        """False alarms are as often as stated, detections as often as predicted; false alarm of the figure 1e-3."""
        if parameters != SenseParameters():
            return None
        away = {"min": -3.5, "max": 3.5}
        return {"false_alarm_away": away, "dyad_false_alarm_away": away, "scale": {"min": 0.8, "max": 1.25}}

    def prepare(self, parameters: SenseParameters, record: Recorder) -> None:
        """A lattice that is moved over the sample is found anew by who resumes. Compile what reads it."""
        compile_kernels()
        self.keeps_table = parameters.mode == "detect"

    def run(self, bench: Bench, parameters: SenseParameters, record: Recorder) -> dict[str, Any]:
        """Count."""
        return (count if parameters.mode == "detect" else survey)(bench, parameters, record)

    def conclude(self, results: dict[str, Any], parameters: SenseParameters, record: Recorder) -> dict[str, Any]:
        """Judge, tell, draw."""
        return (self._detected if parameters.mode == "detect" else self._mapped)(results, parameters, record)

    def _detected(self, results: dict[str, Any], p: SenseParameters, record: Recorder) -> dict[str, Any]:
        saved: Any = {k: record.series(k) for k in ("reference", "reference_trials", "ones", "taken", "part")}
        blocks = Blocks(**saved)
        judged = judge(blocks)
        rows, columns = results["shape"]
        curve: Any = (slope_shifts(p), record.saved("slope_ones"), record.saved("slope_trials"))
        values = results | findings(blocks, judged, p, curve, results["coupling"], (rows, columns))
        picture = record.picture("sense")
        draw_detection(picture, values, judged, p)
        v = values
        record.console.done(
            f"{v['smallest_dg_seen'][-1]:.2g} of g at dyad {tuple(v['target'])} is detected by {p.trials[-1]} "
            f"condensations in 95 % of cases (predicted: {v['smallest_dg'][-1]:.2g}); false alarms "
            f"{v['false_alarm_measured'][-1]:.3f} ± {v['false_alarm_err'][-1]:.3f}, stated {p.false_alarm:g}"
        )
        record.console.say(f"picture: {picture}")
        return values

    def _mapped(self, results: dict[str, Any], p: SenseParameters, record: Recorder) -> dict[str, Any]:
        saved: Any = {k: record.series(k) for k in ("move", "x", "x_sd", "bright", "places", "trials")}
        found, places, differences = mapped(saved, results, p)
        values = {k: v for k, v in results.items() if k != "units"}
        values |= map_findings(found, places, differences, saved, results, p)
        picture = record.picture("map")
        draw_map(picture, values, p)
        record.console.done(
            f"{values['places']} places of the sample: {len(values['defects'])} defects at a false-alarm rate of "
            f"{p.false_alarm:g} for the map, {values['suspects']} places suspected "
            f"({values['suspects_by_chance']:.1f} by chance); g spreads by {100 * values['spread']:.1f} %, if it is g"
        )
        record.console.say(f"picture: {picture}")
        return values
