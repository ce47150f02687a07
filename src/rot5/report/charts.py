"""Line charts as inline SVG that follow the colours of the page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rot5.report.html import Html, element

WIDTH, HEIGHT = 560, 260
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 10, 32
STYLES = 6
"""Colours of lines in the style sheet; a seventh line gets the first colour again, with other dashes."""
MOST_POINTS = 800
MOST_MARKS = 30
LOG_FROM_RATIO = 3
SHORT_NAME = 7
"""Longest name of the axis that finds room left of its first tick."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """One line: its name, its points (x, value) in order, and the number of its style; `dots` draws points alone."""

    name: str
    points: Sequence[Point]
    style: int = 0
    dots: bool = False


@dataclass(frozen=True)
class Chart:
    """Lines and what to draw them on, whoever draws them."""

    title: str
    unit: str
    """Of the values."""
    series: Sequence[Series]
    along: str = "step"
    """What runs to the right, from 0 unless `log_along`."""
    log_along: bool = False
    log: bool = False
    """Allows a logarithmic axis where the values span a wide range."""
    zero: bool = False
    """Starts the axis of values at 0."""
    form: str = ",.3f"
    """Format of values."""

    @property
    def lines(self) -> list[Series]:
        """The series that have points."""
        return [line for line in self.series if line.points]


@dataclass(frozen=True)
class Axis:
    """A range of values with its ticks."""

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def share(self, value: float) -> float:
        """Where a value lies between the ends: 0 to 1."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def linear_axis(low: float, high: float, ticks: int = 4) -> Axis:
    """An axis from one round number to another, about `ticks` steps apart.

    >>> linear_axis(0.3, 9.1).ticks
    (0.0, 2.5, 5.0, 7.5, 10.0)
    """
    if low == high:
        pad = abs(low) / 10 or 0.5
        low, high = low - pad, high + pad
    rough = (high - low) / ticks
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * nice for nice in (1, 2, 2.5, 5, 10) if power * nice >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    marks = tuple(round(n * step, 12) for n in range(first, last + 1))
    return Axis(marks[0], marks[-1], marks)


def log_axis(low: float, high: float) -> Axis:
    """An axis on which equal ratios are equal distances; `low` is above 0."""
    decades = math.log10(high / low)
    mantissas = (1, 1.5, 2, 3, 5, 7) if decades < 1.2 else (1, 3) if decades < 3 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    low, high = low / 1.04, high * 1.04
    marks = [float(f"{nice}e{power}") for power in powers for nice in mantissas]
    return Axis(low, high, tuple(mark for mark in marks if low <= mark <= high), log=True)


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """About `most` points: the lowest and the highest of each stretch, so that no spike is lost, and the last one."""
    if len(points) <= most:
        return list(points)
    size = math.ceil(len(points) * 2 / most)
    kept = []
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        kept += sorted({min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1])})
    return kept if kept[-1] == points[-1] else [*kept, points[-1]]


def line_chart(chart: Chart) -> Html | None:
    """A figure of lines, with a legend that gives each line's last value; None where there is no point.

    Values that are not finite are not drawn; the legend tells the last one as it is.
    """
    series, along, form = chart.lines, chart.along, chart.form
    drawn = {line.name: [p for p in line.points if math.isfinite(p[1])] for line in series}
    steps = [x for points in drawn.values() for x, _ in points]
    values = [y for points in drawn.values() for _, y in points]
    if not values:
        return None
    lowest, highest = min(values), max(values)
    if chart.log and lowest > 0 and highest / lowest > LOG_FROM_RATIO:
        vertical = log_axis(lowest, highest)
    else:
        vertical = linear_axis(min(lowest, 0) if chart.zero else lowest, highest)
    horizontal = log_axis(min(steps), max(steps)) if chart.log_along else _axis_from_zero(max(steps))
    note = ", ".join(part for part in (chart.unit, "logarithmic scale" if vertical.log else "") if part)
    picture = element(
        "svg",
        element("title", f"{chart.title}, {note}" if note else chart.title),
        element("desc", " ".join(_in_words(line, along, form) for line in series)),
        _frame(horizontal, vertical, along),
        *(_line(line, drawn[line.name], horizontal, vertical, along, form) for line in series),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
    )
    legend = [] if all(line.dots for line in series) else [element("li", "last value")]
    for line in series:
        name = [_swatch(line), element("span", line.name)] if len(series) > 1 else []
        last = None if line.dots else element("b", format(line.points[-1][1], form))
        legend.append(element("li", *name, last))
    heading = element("figcaption", element("strong", chart.title), element("span", note) if note else None)
    return element("figure", heading, picture, element("ul", *legend, class_="legend"))


def _axis_from_zero(last: float) -> Axis:
    """From 0 to just the last value."""
    axis = linear_axis(0, last)
    return Axis(0, last, tuple(tick for tick in axis.ticks if tick <= last)) if last > 0 else axis


def _in_words(line: Series, along: str, form: str) -> str:
    (first_x, first), (last_x, last) = line.points[0], line.points[-1]
    return f"{line.name}: {first:{form}} at {along} {first_x:,}, {last:{form}} at {along} {last_x:,}."


def _frame(horizontal: Axis, vertical: Axis, along: str) -> Html:
    parts = []
    for tick in vertical.ticks:
        y = _y(tick, vertical)
        parts.append(element("path", d=f"M{LEFT} {y:.1f}H{WIDTH - RIGHT}"))
        parts.append(element("text", _tick(tick), x=LEFT - 8, y=f"{y + 4:.1f}", text_anchor="end"))
    for tick in horizontal.ticks:
        x = _x(tick, horizontal)
        anchor = "end" if x > WIDTH - 3 * RIGHT else "middle"
        parts.append(element("text", _tick(tick), x=f"{x:.1f}", y=HEIGHT - 10, text_anchor=anchor))
    if len(along) <= SHORT_NAME:
        parts.append(element("text", along, x=LEFT - 8, y=HEIGHT - 10, text_anchor="end"))
    else:
        parts.append(element("text", along, x=WIDTH - RIGHT, y=HEIGHT - BOTTOM - 6, text_anchor="end"))
    return element("g", *parts, class_="frame")


def _line(line: Series, points: Sequence[Point], horizontal: Axis, vertical: Axis, along: str, form: str) -> Html:
    path = "L".join(f"{_x(x, horizontal):.1f} {_y(y, vertical):.1f}" for x, y in thinned(points))
    parts = [element("path", d=f"M{path}")] if points and not line.dots else []
    if len(points) <= MOST_MARKS or line.dots:
        for x, y in points:
            told = element("title", f"{line.name}, {along} {x:,}: {y:{form}}")
            parts.append(element("circle", told, cx=f"{_x(x, horizontal):.1f}", cy=f"{_y(y, vertical):.1f}", r=2.5))
    return element("g", *parts, class_=_style(line.style))


def _swatch(line: Series) -> Html:
    mark = element("circle", cx=13, cy=5, r=2.5) if line.dots else element("path", d="M1 5H25")
    return element("svg", element("g", mark, class_=_style(line.style)), viewBox="0 0 26 10", aria_hidden="true")


def _style(style: int) -> str:
    return f"line color-{style % STYLES} dashes-{(style // STYLES + style) % STYLES}"


def _x(value: float, axis: Axis) -> float:
    return LEFT + axis.share(value) * (WIDTH - LEFT - RIGHT)


def _y(value: float, axis: Axis) -> float:
    return HEIGHT - BOTTOM - axis.share(value) * (HEIGHT - TOP - BOTTOM)


def _tick(value: float) -> str:
    if abs(value) >= 1e9:
        return f"{value:.3g}".replace("e+0", "e").replace("e+", "e")
    if abs(value) >= 1e6:
        return f"{value / 1e6:g} M"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"
