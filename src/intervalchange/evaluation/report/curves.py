"""Small charts as inline SVG: words and numbers in, one `<svg>` element out. Colours are classes of the page's style.

Series i is drawn in class `s{i}` (its place modulo COLOURS). Texts are escaped here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from intervalchange.evaluation.metrics import calibration

COLOURS = 6
POINTS = 300
"""Points of a curve that are drawn at most."""


@dataclass(frozen=True, slots=True)
class Confidences:
    """What one file was how sure of: confidence (n) in [0, 1], correct (n) bool."""

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
        parts.append(_curve([(one["confidence"], one["accuracy"]) for one in bins], series))
        largest = max((one["cases"] for one in bins), default=1)
        for one in bins:
            radius = 2.5 + 5.5 * math.sqrt(one["cases"] / largest)
            hint = f"{file.name}: {one['cases']:.0f} cases, sure {one['confidence']:.2f}, right {one['accuracy']:.2f}"
            parts.append(
                f'<circle cx="{_x(one["confidence"]):.1f}" cy="{_y(one["accuracy"]):.1f}" r="{radius:.1f}" '
                f'class="dot f{series % COLOURS}"><title>{escape(hint)}</title></circle>'
            )
    return _element(_WIDE, _HIGH, f"Reliability diagram of {what}", parts)


def risk_coverage_curve(files: Sequence[Confidences]) -> str:
    """Share of wrong answers among the surest, as more and more are given. A ring marks where a file abstained."""
    parts = _square("coverage: share answered, surest first", "risk: share not exactly right")
    for series, file in enumerate(files):
        coverage, risk = calibration.risk_coverage(file.confidence, file.correct)
        if not len(coverage):
            continue
        places = np.unique(np.linspace(0, len(coverage) - 1, POINTS).round().astype(int))
        parts.append(_curve(list(zip(coverage[places].tolist(), risk[places].tolist(), strict=True)), series))
        if file.marked is not None:
            across, up = file.marked
            parts.append(
                f'<circle cx="{_x(across):.1f}" cy="{_y(up):.1f}" r="6" class="ring s{series % COLOURS}">'
                f"<title>{escape(file.name)}: coverage {across:.2f}, risk {up:.2f}</title></circle>"
            )
    return _element(_WIDE, _HIGH, "Risk-coverage curve", parts)


def _rows(rows: Sequence[tuple[str, Sequence[Bar]]], row_high: float, label_wide: float) -> tuple[float, list[str]]:
    """Vertical grid and labels of rows of one or more bars each; returns the height."""
    tall = sum(row_high * len(bars) + 8 for _, bars in rows)
    parts = []
    for step in _STEPS:
        x = _across(step, label_wide)
        parts += [_line(x, 4, x, tall + 8, "grid"), _text(x, tall + 24, f"{step:g}")]
    return tall + 32, parts


_BAR_WIDE = 860.0


def _across(value: float, label_wide: float) -> float:
    return label_wide + value * (_BAR_WIDE - label_wide - 46)


def bars(rows: Sequence[tuple[str, Sequence[Bar]]], label: str) -> str:
    """Rows of horizontal bars over [0, 1]: (label, a bar a series). Values stand at their ends."""
    thick, wide = (14.0 if max((len(group) for _, group in rows), default=1) == 1 else 12.0), 250.0
    height, parts = _rows(rows, thick, wide)
    y = 8.0
    for words, group in rows:
        parts.append(_text(wide - 8, y + thick * len(group) / 2 + 4, words, "end"))
        for bar in group:
            value = bar.value or 0.0
            span = _across(value, wide) - wide
            parts.append(
                f'<rect x="{wide:g}" y="{y + 1:.1f}" width="{span:.1f}" height="{thick - 2:g}" rx="2" '
                f'class="f{bar.series % COLOURS}"/>'
            )
            shown = "–" if bar.value is None else f"{bar.value:.2f}"
            parts.append(_text(_across(value, wide) + 5, y + thick / 2 + 4, shown, "start", "value"))
            y += thick
        y += 8
    return _element(_BAR_WIDE, height, label, parts)


def whiskers(rows: Sequence[tuple[str, Sequence[Bar]]], label: str) -> str:
    """Rows of dots with their intervals over [0, 1]: (label, a dot a series)."""
    thick, wide = 16.0, 290.0
    height, parts = _rows(rows, thick, wide)
    y = 8.0
    for words, group in rows:
        parts.append(_text(wide - 8, y + thick * len(group) / 2 + 4, words, "end"))
        for bar in group:
            middle, color = y + thick / 2, bar.series % COLOURS
            if bar.value is None:
                parts.append(_text(_across(0, wide) + 5, middle + 4, "not given", "start", "value"))
            else:
                if bar.low is not None and bar.high is not None:
                    span = (_across(bar.low, wide), middle, _across(bar.high, wide), middle)
                    parts.append(_line(*span, f"whisker s{color}"))
                parts.append(
                    f'<circle cx="{_across(bar.value, wide):.1f}" cy="{middle:.1f}" r="4.5" class="dot f{color}"/>'
                )
                end = _across(max(bar.value, bar.high or 0.0), wide) + 9
                parts.append(_text(end, middle + 4, f"{bar.value:.2f}", "start", "value"))
            y += thick
        y += 8
    return _element(_BAR_WIDE, height, label, parts)
