"""Small charts as inline SVG: words and numbers in, one `<svg>` element out. Texts are escaped here.

Series i is drawn in classes `s{i}` and `f{i}` (modulo COLOURS) of the page's stylesheet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from intervalchange.evaluation.metrics import calibration
from intervalchange.report.page import COLOURS

POINTS = 300
"""Points of a curve that are drawn at most."""


@dataclass(frozen=True, slots=True)
class Confidences:
    """Confidences (n) in [0, 1] of one file's answers, and which of them (n) bool are correct."""

    name: str
    confidence: Sequence[float]
    correct: Sequence[bool]
    marked: tuple[float, float] | None = None
    """(coverage, risk) where the file abstained."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A value in [0, 1] with its interval, or None where it is not defined."""

    series: int
    value: float | None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, metrics: Mapping[str, float | str | None], name: str, series: int = 0) -> Bar:
        """A metric with its `.low` and `.high`; words ("not run") are no value."""
        values = (metrics.get(key) for key in (name, f"{name}.low", f"{name}.high"))
        return cls(series, *(float(value) if isinstance(value, int | float) else None for value in values))


_WIDE, _HIGH = 430, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 14, 12, 46
_STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)


def _x(value: float) -> float:
    return _LEFT + value * (_WIDE - _LEFT - _RIGHT)


def _y(value: float) -> float:
    return _HIGH - _BOTTOM - value * (_HIGH - _TOP - _BOTTOM)


def _element(width: float, height: float, label: str, parts: Sequence[str]) -> str:
    words = escape(label, quote=True)
    kind = "broad" if width > _WIDE else "square"
    return (
        f'<svg class="{kind}" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{words}">'
        f"<title>{words}</title>{''.join(parts)}</svg>"
    )


def _text(x: float, y: float, words: str, anchor: str = "middle", kind: str = "") -> str:
    name = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{name}>{escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _dot(x: float, y: float, radius: float, kind: str, hint: str = "") -> str:
    title = f"<title>{escape(hint)}</title>" if hint else ""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" class="{kind}">{title}</circle>'


def _square(across: str, up: str) -> list[str]:
    """Grid and labels of a plot over [0, 1] x [0, 1]."""
    parts = []
    for step in _STEPS:
        parts += [_line(_x(step), _y(0), _x(step), _y(1), "grid"), _line(_x(0), _y(step), _x(1), _y(step), "grid")]
        parts += [_text(_x(step), _y(0) + 16, f"{step:g}"), _text(_x(0) - 7, _y(step) + 4, f"{step:g}", "end")]
    parts.append(_text(_x(0.5), _HIGH - 8, across, kind="axis"))
    turned = f'<g transform="translate(14 {_y(0.5):.1f}) rotate(-90)">{_text(0, 0, up, kind="axis")}</g>'
    return [*parts, turned]


def _curve(points: Sequence[tuple[float, float]], series: int) -> str:
    path = " ".join(f"{_x(across):.1f},{_y(up):.1f}" for across, up in points)
    return f'<polyline points="{path}" class="curve s{series % COLOURS}"/>'


def reliability_diagram(files: Sequence[Confidences], what: str = "answers") -> str:
    """Mean confidence of each bin against the share that came true; a dot's area grows with its cases."""
    parts = [*_square(f"confidence in the {what}", "share that is right"), _line(_x(0), _y(0), _x(1), _y(1), "ideal")]
    for series, file in enumerate(files):
        bins = calibration.reliability(file.confidence, file.correct)
        parts.append(_curve([(one.confidence, one.accuracy) for one in bins], series))
        largest = max((one.cases for one in bins), default=1)
        for one in bins:
            radius = 2.5 + 5.5 * math.sqrt(one.cases / largest)
            hint = f"{file.name}: {one.cases} cases, confidence {one.confidence:.2f}, right {one.accuracy:.2f}"
            parts.append(_dot(_x(one.confidence), _y(one.accuracy), radius, f"dot f{series % COLOURS}", hint))
    return _element(_WIDE, _HIGH, f"Reliability diagram of {what}", parts)


def risk_coverage_curve(files: Sequence[Confidences]) -> str:
    """Share of wrong answers among the most confident, as more are given. A ring marks where a file abstained."""
    parts = _square("coverage: share answered, most confident first", "risk: share not exactly right")
    for series, file in enumerate(files):
        coverage, risk = calibration.risk_coverage(file.confidence, file.correct)
        if not len(coverage):
            continue
        drawn = np.unique(np.linspace(0, len(coverage) - 1, POINTS).round().astype(int))
        parts.append(_curve(list(zip(coverage[drawn].tolist(), risk[drawn].tolist(), strict=True)), series))
        if file.marked is not None:
            across, up = file.marked
            hint = f"{file.name}: coverage {across:.2f}, risk {up:.2f}"
            parts.append(_dot(_x(across), _y(up), 6, f"ring s{series % COLOURS}", hint))
    return _element(_WIDE, _HIGH, "Risk-coverage curve", parts)


_ROW_WIDE = 860.0
"""Width of a chart of rows."""


def _across(value: float, label_wide: float) -> float:
    return label_wide + value * (_ROW_WIDE - label_wide - 46)


def _rows(
    rows: Sequence[tuple[str, Sequence[Bar]]],
    label: str,
    thick: float,
    label_wide: float,
    drawn: Callable[[Bar, float], Sequence[str]],
) -> str:
    """Rows of one or more bars each over a grid of [0, 1]. drawn: a bar and its middle -> its elements."""
    tall = sum(thick * len(group) + 8 for _, group in rows)
    parts = []
    for step in _STEPS:
        x = _across(step, label_wide)
        parts += [_line(x, 4, x, tall + 8, "grid"), _text(x, tall + 24, f"{step:g}")]
    y = 8.0
    for words, group in rows:
        parts.append(_text(label_wide - 8, y + thick * len(group) / 2 + 4, words, "end"))
        for bar in group:
            parts += drawn(bar, y + thick / 2)
            y += thick
        y += 8
    return _element(_ROW_WIDE, tall + 32, label, parts)


def bars(rows: Sequence[tuple[str, Sequence[Bar]]], label: str) -> str:
    """Rows of horizontal bars over [0, 1]: (label, a bar per series). Values stand at their ends."""
    thick, wide = (14.0 if max((len(group) for _, group in rows), default=1) == 1 else 12.0), 310.0

    def drawn(bar: Bar, middle: float) -> list[str]:
        end = _across(bar.value or 0.0, wide)
        return [
            f'<rect x="{wide:g}" y="{middle - thick / 2 + 1:.1f}" width="{end - wide:.1f}" height="{thick - 2:g}" '
            f'rx="2" class="f{bar.series % COLOURS}"/>',
            _text(end + 5, middle + 4, "–" if bar.value is None else f"{bar.value:.2f}", "start", "value"),
        ]

    return _rows(rows, label, thick, wide, drawn)


def whiskers(rows: Sequence[tuple[str, Sequence[Bar]]], label: str) -> str:
    """Rows of dots with their intervals over [0, 1]: (label, a dot per series)."""
    wide = 290.0

    def drawn(bar: Bar, middle: float) -> list[str]:
        if bar.value is None:
            return [_text(_across(0, wide) + 5, middle + 4, "not given", "start", "value")]
        parts, colour = [], bar.series % COLOURS
        if bar.low is not None and bar.high is not None:
            parts.append(_line(_across(bar.low, wide), middle, _across(bar.high, wide), middle, f"whisker s{colour}"))
        end = _across(max(bar.value, bar.high or 0.0), wide) + 9
        parts.append(_dot(_across(bar.value, wide), middle, 4.5, f"dot f{colour}"))
        return [*parts, _text(end, middle + 4, f"{bar.value:.2f}", "start", "value")]

    return _rows(rows, label, 16.0, wide, drawn)
