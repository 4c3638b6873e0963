"""Photodetectors over time, and sequences by their sums, as they are measured by whoever measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from nicegui import ui

from labctl.page.feed.traces import Trace
from labctl.page.views.visit import View, Visit, heading

_SHOWN = 300
_PREFIXES = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"))
_SMALL_SPREAD = 1e-2
"""Of readings, in parts of their size: below it they are drawn as differences, or every number at the axis would begin
with the same digits."""


class DetectorsView(View):
    """A chart for each."""

    def __init__(self, visit: Visit) -> None:
        super().__init__(visit)
        self._charts: list[tuple[Trace, ui.echart, ui.label]] = []
        self._said: dict[str, int] = {}

    async def build(self) -> None:
        """Make the charts and begin to read."""
        traces = self.visit.services.traces
        if not traces.devices:
            ui.label("This bench has no photodetector." if self.link.state.connected else "The bench is not there.")
        with ui.element("div").classes("cards"):
            for device in traces.devices:
                trace = traces.of(device)
                trace.enter()
                with ui.element("div").classes("card"):
                    heading(device)
                    word = ui.label("nothing measured yet").classes("dim").props('role="status"')
                    chart = ui.echart(options(trace)).style("height: 260px; width: 100%")
                    chart.props(f'role="img" aria-label="readings of {device} over time"')
                self._charts.append((trace, chart, word))
        ui.label("Shown is what is measured from when somebody looks here, in time of the bench.").classes("dim")

    async def refresh(self) -> None:
        """Draw what is new."""
        for trace, chart, word in self._charts:
            if not trace.points:
                continue
            last = trace.points[-1]
            if self._said.get(trace.device) == (now := hash((last, len(trace.points)))):
                continue
            self._said[trace.device] = now
            power = _told(last.value, "W") if trace.unit == "W" else f"{last.value:.5g} counts"
            word.set_text(
                f"{power}{', SATURATED' if last.saturated else ''}{f', {trace.lost} lost' if trace.lost else ''}"
            )
            word.classes(replace="bad-text" if last.saturated else "big")
            chart.options.clear()
            chart.options.update(options(trace))
            chart.update()

    def leave(self) -> None:
        """Readings go on for a while (`feed.traces`)."""
        for trace, _, _ in self._charts:
            trace.leave()


def options(trace: Trace) -> dict[str, Any]:
    """The chart of a trace."""
    points = list(trace.points)[-_SHOWN:]
    axis = {"axisLabel": {"color": "#8b99a5"}, "splitLine": {"lineStyle": {"color": "#1d242a"}}}
    scale = scale_of([point.value for point in points], trace.unit)
    return {
        "animation": False,
        "grid": {"left": 56, "right": 16, "top": 26, "bottom": 34},
        "xAxis": {"type": "value", "scale": True, "name": "s", "nameLocation": "end",
                  "axisLine": {"onZero": False}, **axis},
        "yAxis": {"type": "value", "scale": True, "name": scale.name,
                  "nameTextStyle": {"color": "#8b99a5", "align": "left", "padding": [0, 0, 0, -40]}, **axis},
        "series": [
            {"type": "line", "showSymbol": False, "lineStyle": {"width": 1.5, "color": "#6ab7ff"},
             "data": [[point.time_s, scale.drawn(point.value)] for point in points]},
            {"type": "scatter", "symbolSize": 6, "itemStyle": {"color": "#ff00ff"},
             "data": [[point.time_s, scale.drawn(point.value)] for point in points if point.saturated]},
        ],
    }  # fmt: skip


class Scale(NamedTuple):
    """How readings are drawn: less ``zero``, in units of ``unit``; ``name`` says so at the axis."""

    zero: float
    unit: float
    name: str

    def drawn(self, value: float) -> float:
        """Where a reading is drawn."""
        return (value - self.zero) / self.unit


def scale_of(values: Sequence[float], unit: str) -> Scale:
    """The scale of readings in ``unit`` ("W", "counts", or "" for none yet) on which all numbers are short."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    size = max(abs(low), abs(high))
    zero = float(f"{(low + high) / 2:.3e}") if 0 < high - low < _SMALL_SPREAD * size else 0.0
    reach = max(abs(low - zero), abs(high - zero))
    factor, prefix = _prefix(reach) if unit == "W" else (1.0, "")
    name = f"{prefix}W" if unit == "W" else "mean counts" if unit else ""
    return Scale(zero, factor, f"{name} from {_told(zero, 'W') if unit == 'W' else f'{zero:g}'}" if zero else name)


def _told(value: float, unit: str) -> str:
    """A number of four digits with a prefix of its unit: 0.0042 W is "4.200 mW"."""
    factor, prefix = _prefix(abs(value))
    return f"{f'{value / factor:#.4g}'.rstrip('.')} {prefix}{unit}"


def _prefix(size: float) -> tuple[float, str]:
    return next((one for one in _PREFIXES if size >= one[0]), _PREFIXES[-1] if size else _PREFIXES[0])
