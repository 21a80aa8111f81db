"""The page with several films of a patient: without a mouse, for a screen reader, and in which order."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import echoing, opened_page
from film_files import chest, dicom, encoded

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
TIMEOUT = playwright.TimeoutError
AXE = Path(__file__).resolve().parents[2] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
ASKED = "#swap.bad"
"""The stand-in says the same change of every pair, so that it never reads backwards."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with echoing() as served:
        yield served


@pytest.fixture(scope="module")
def visits(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three films of one patient whose names are not in the order of their dates."""
    folder = tmp_path_factory.mktemp("visits")
    return [
        dicom(folder / name, np.rint(chest(seed=seed) * 4095), StudyDate=f"2020010{seed}")
        for name, seed in (("c.dcm", 1), ("a.dcm", 2), ("b.dcm", 3))
    ]


def open_films(page: Any, films: list[Path]) -> None:
    page.set_input_files("[data-side=prior] input", films)
    page.wait_for_selector("#answer:has-text('Ask, or press Enter.')")


def open_with_a_key(page: Any, films: list[Path]) -> None:
    """A browser opens its dialog only after it has noticed that somebody is there, which may take a key or two."""
    for _ in range(10):
        try:
            with page.expect_file_chooser(timeout=5000) as chooser:
                page.keyboard.press("p")
        except TIMEOUT:
            assert page.evaluate("document.activeElement.closest('[data-side]').dataset.side") == "prior"
            continue
        chooser.value.set_files(films)
        page.wait_for_selector("#answer:has-text('Ask, or press Enter.')")
        return
    pytest.fail("no dialog")


def chosen(page: Any) -> list[str]:
    return list(page.locator("#timeline input:checked").evaluate_all("inputs => inputs.map(input => input.id)"))


@pytest.mark.slow
def test_everything_is_done_without_a_mouse(address: str, visits: list[Path]) -> None:
    with opened_page(address) as page:
        open_with_a_key(page, visits)
        assert page.locator("#timeline strong").all_inner_texts() == ["2020-01-01", "2020-01-02", "2020-01-03"]
        assert page.inner_text("#timeline-order") == "by date"
        assert chosen(page) == ["prior-1", "current-2"]
        page.keyboard.press("[")
        page.wait_for_selector("#answer:has-text('Ask, or press Enter.')")
        assert chosen(page) == ["prior-0", "current-1"]
        page.keyboard.press("a")
        page.wait_for_selector(ASKED)
        first = page.inner_text("#answer").split()
        marks = page.locator("#timeline small").all_inner_texts()
        assert marks[1:] == ["", "since the film before: 1 new, 1 another level", ""]
        page.keyboard.press("1")
        assert page.get_attribute("#chips button", "aria-pressed") == "true"

        page.keyboard.press("w")
        page.wait_for_selector("#registration:has-text('registered:')")
        page.keyboard.press("g")
        page.wait_for_selector("#registration:has-text('films as taken')")
        page.keyboard.press("b")
        assert page.get_attribute("#films", "data-mode") == "blink"
        page.keyboard.press("s")
        assert not page.is_visible("#registration")

        page.keyboard.press("x")
        page.wait_for_selector("#answer:has-text('Ask, or press Enter.')")
        assert chosen(page) == ["current-0", "prior-1"]
        page.keyboard.press("a")
        page.wait_for_selector(ASKED)
        assert page.inner_text("#answer").split() == first[::-1]

        page.focus("#current-0")
        page.keyboard.press("ArrowLeft")
        page.wait_for_selector("#current-2:checked")
        assert page.evaluate("document.activeElement.id") == "current-2"


@pytest.mark.slow
def test_films_of_several_patients_are_refused(address: str, visits: list[Path], tmp_path: Path) -> None:
    other = dicom(tmp_path / "d.dcm", np.rint(chest(seed=4) * 4095), PatientID="SECRET456")
    picture = tmp_path / "e.png"
    picture.write_bytes(encoded(chest(seed=5), "PNG"))
    with opened_page(address) as page:
        page.set_input_files("[data-side=prior] input", [*visits, other])
        page.wait_for_selector("#answer.error:has-text('several patients')")
        assert not page.is_visible("#timeline") and page.is_disabled("#ask")
        page.set_input_files("[data-side=prior] input", [*visits, picture])
        page.wait_for_selector("#answer:has-text('Ask, or press Enter.')")
        assert page.inner_text("#timeline-order").startswith("by file name")
        assert page.locator("#timeline strong").all_inner_texts() == ["a.dcm", "b.dcm", "c.dcm", "e.png"]


@pytest.mark.slow
def test_the_focus_goes_as_the_eye_does(address: str, visits: list[Path]) -> None:
    script = """() => {
        const element = document.activeElement;
        const {left, top} = (element.closest("label") ?? element).getBoundingClientRect();
        const part = ["header", "#films", "#timeline", "#panel"].findIndex(name => element.closest(name));
        return [part, Math.round(top), Math.round(left), element.id || element.textContent];
    }"""
    with opened_page(address, height=1200) as page:
        open_films(page, visits)
        page.keyboard.press("a")
        page.wait_for_selector(ASKED)
        page.focus("#theme")
        stops = [page.evaluate(script)]
        for _ in range(60):
            page.keyboard.press("Tab")
            stop = page.evaluate(script)
            if stop[0] < 0 or stop in stops:
                break
            stops.append(stop)
    assert {part for part, *_ in stops} == {0, 1, 2, 3}
    for (part, top, left, name), (next_part, next_top, next_left, next_name) in itertools.pairwise(stops):
        # Beside each other, elements of one line differ a little in height.
        later = next_top > top + 12 or (next_left > left and abs(next_top - top) <= 12) or part == next_part == 2
        assert part < next_part or (part == next_part and later), f"{name} -> {next_name}"


@pytest.mark.slow
def test_axe_finds_nothing(address: str, visits: list[Path]) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed")
    with opened_page(address, bypass_csp=True) as page:
        open_films(page, visits)
        page.keyboard.press("a")
        page.wait_for_selector(ASKED)
        page.keyboard.press("1")
        page.click("summary")
        page.keyboard.press("w")
        page.wait_for_selector("#registration:has-text('registered:')")
        page.evaluate(AXE.read_text(encoding="utf-8"))
        for theme in ("dark", "light"):
            assert page.get_attribute("html", "data-theme") == theme
            for width in (1280, 360):
                page.set_viewport_size({"width": width, "height": 800})
                found = page.evaluate("axe.run()")["violations"]
                told = [(each["id"], each["nodes"][0]["html"][:120]) for each in found]
                assert not told, f"{theme}, {width} pixels"
                assert page.evaluate("document.documentElement.scrollWidth") <= width
            page.click("#theme")
