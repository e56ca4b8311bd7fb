"""Pieces of hand-written SVG: numbers and text in, text out. Colours come from the page's style."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Scale:
    """Values from `low` to `high` lie from `start` to `end` of the picture, in its units."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale, where its grid lines are, and what it is of. `percent` writes shares as %."""

    scale: Scale
    ticks: tuple[float, ...]
    label: str
    percent: bool = False

    def written(self, tick: float) -> str:
        if self.percent:
            return f"{100 * tick:.{_decimals([100 * each for each in self.ticks])}f}%"
        return minus(f"{tick:.{_decimals(self.ticks)}f}")


def ticks(low: float, high: float, most: int = 6) -> tuple[float, ...]:
    """Round numbers within [low, high], at most `most`, at least one unless there is none."""
    rough = (high - low) / most
    if not (math.isfinite(rough) and rough > 0):
        return (low,)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * each for each in _STEPS if power * each >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(number * step + 0.0 for number in range(first, last + 1))


def minus(number: str) -> str:
    """With a real minus sign."""
    return number.replace("-", "\N{MINUS SIGN}")


def chart(name: str, title: str, description: str, size: Point, parts: Iterable[str]) -> str:
    """A whole picture of `size` (width, height); `name` is unique within the page.

    Title and description are read out, and shown in place of nothing else.
    """
    width, height = size
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-labelledby="{name}-t {name}-d">'
        f'<title id="{name}-t">{escape(title)}</title>'
        f'<desc id="{name}-d">{escape(description)}</desc>{"".join(parts)}</svg>\n'
    )


def text(x: float, y: float, content: str, *, anchor: str = "start", kind: str = "") -> str:
    """`anchor` is start, middle or end; `kind` classes of the style."""
    marked = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{marked}>{escape(content)}</text>'


def clipped(x: float, y: float, content: str, most: int, *, anchor: str = "start") -> str:
    """Text of at most `most` characters; all of it shows when it is pointed at."""
    if len(content) <= most:
        return text(x, y, content, anchor=anchor)
    short = escape(content[: most - 1] + "…")
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"<title>{escape(content)}</title>{short}</text>"
    )


def line(start: Point, end: Point, kind: str) -> str:
    (x1, y1), (x2, y2) = start, end
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def path(points: Sequence[Point], kind: str, *, closed: bool = False) -> str:
    """A line through the points, or the area within; nothing without points."""
    if not points:
        return ""
    drawn = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path d="M{drawn}{"Z" if closed else ""}" class="{kind}"/>'


def box(corner: Point, width: float, height: float, kind: str) -> str:
    x, y = corner
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}" '
        f'class="{kind}"/>'
    )


def marker(at: Point, shape: int, kind: str, radius: float = 3.5) -> str:
    """A point: circle, square, diamond or triangle, so that colour alone tells nothing."""
    x, y, r = *at, radius
    match shape % 4:
        case 0:
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:g}" class="{kind}"/>'
        case 1:
            corners = [(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)]
        case 2:
            wide = 1.3 * r
            corners = [(x - wide, y), (x, y - wide), (x + wide, y), (x, y + wide)]
        case _:
            corners = [(x - r, y + r), (x, y - 1.2 * r), (x + r, y + r)]
    return path(corners, kind, closed=True)


def frame(across: Axis, upward: Axis) -> str:
    """Grid lines, their numbers, and what the axes are of."""
    x, y = across.scale, upward.scale
    parts = []
    for tick in upward.ticks:
        parts.append(line((x.start, y(tick)), (x.end, y(tick)), "grid"))
        parts.append(text(x.start - 6, y(tick) + 4, upward.written(tick), anchor="end"))
    for tick in across.ticks:
        parts.append(line((x(tick), y.start), (x(tick), y.start + 4), "axis"))
        parts.append(text(x(tick), y.start + 17, across.written(tick), anchor="middle"))
    parts.append(line((x.start, y.start), (x.end, y.start), "axis"))
    middle = (x.start + x.end) / 2
    parts.append(text(middle, y.start + 35, across.label, anchor="middle", kind="label"))
    parts.append(text(x.start, y.end - 10, upward.label, kind="label"))
    return "".join(parts)


def _decimals(values: Sequence[float]) -> int:
    """The fewest decimals that tell all values apart and write them as they are."""
    for digits in range(6):
        if all(abs(round(each, digits) - each) < 1e-9 for each in values):
            return digits
    return 6
