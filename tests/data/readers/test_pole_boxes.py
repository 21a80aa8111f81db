"""Boxes about a pole of inaccessibility: distances known by hand, and the boxes that follow."""

from __future__ import annotations

import pytest

from intervalchange.data.readers.pole_boxes import BUFFER, WidenedOutline, pole_box

SMALL = [(500.0, 500.0), (540.0, 500.0), (540.0, 540.0), (500.0, 540.0)]


def test_distances_to_the_edge() -> None:
    area = WidenedOutline(SMALL)
    # 120 from the middle of a side to the edge; outside a corner the edge is round.
    assert area.distance((520.0, 520.0)) == pytest.approx(20 + BUFFER, abs=0.01)
    assert area.distance((500.0, 520.0)) == pytest.approx(BUFFER, abs=0.01)
    assert area.distance((520.0, 300.0)) == pytest.approx(-100, abs=0.01)
    # On the edge itself the nearest of its points is up to half a pixel away.
    assert area.distance((440.0, 420.0)) == pytest.approx(0, abs=0.5)
    assert area.centre() == pytest.approx((520, 520), abs=0.01)


def test_a_large_outline_has_a_hole_and_its_pole_on_the_line() -> None:
    area = WidenedOutline([(0.0, 0.0), (1000.0, 0.0), (1000.0, 1000.0), (0.0, 1000.0)])
    assert area.distance((500.0, 500.0)) == pytest.approx(-400, abs=0.01)
    x, y = area.pole()
    assert area.distance((x, y)) > BUFFER - 10
    assert min(abs(x), abs(y), abs(x - 1000), abs(y - 1000)) < 30


def test_a_symmetric_outline_keeps_its_tight_box() -> None:
    assert pole_box(SMALL) == pytest.approx((500, 500, 540, 540), abs=0.1)


def test_the_box_is_symmetric_about_the_pole() -> None:
    corners = [(100.0, 100.0), (400.0, 100.0), (120.0, 160.0)]
    x1, y1, x2, y2 = pole_box(corners)
    assert x1 <= 100.1 and y1 <= 100.1 and x2 >= 399.9 and y2 >= 159.9
    pole = WidenedOutline(corners).pole()
    assert ((x1 + x2) / 2, (y1 + y2) / 2) == pytest.approx(pole)
