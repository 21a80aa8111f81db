"""The page in a real browser (Debian's chromium), driven as a reader does."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import echoing, opened_page
from film_files import chest, encoded
from served import Echo
from starlette.testclient import TestClient

from intervalchange.policy import RESEARCH_USE
from intervalchange.serving.app import PAGE, create_app
from intervalchange.serving.limits import Limits

FRONTEND = Path(__file__).resolve().parents[2] / "frontend"
CHIP = "#chips button"


def test_the_page_is_built_from_its_sources() -> None:
    names = ["package.json", "package-lock.json", "build.mjs", "nothing.mjs"]
    names += [f"src/{path.name}" for path in sorted((FRONTEND / "src").iterdir(), key=lambda path: path.name)]
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name}\0".encode() + (FRONTEND / name).read_bytes() + b"\0")
    assert digest.hexdigest() == (PAGE / "sources.sha256").read_text().strip(), "run `make page`"


def test_the_page_loads_nothing_from_elsewhere() -> None:
    html, style = (PAGE / "index.html").read_text(), (PAGE / "page.css").read_text()
    assert RESEARCH_USE in html
    assert "http" not in html and "url(" not in style and "@import" not in style


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with echoing() as served:
        yield served


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("films")
    paths = folder / "1.png", folder / "2.png"
    for seed, path in enumerate(paths):
        path.write_bytes(encoded(chest(height=300, width=260, seed=seed), "PNG"))
    return paths


@pytest.mark.slow
def test_a_reader_opens_two_films_asks_and_looks(address: str, films: tuple[Path, Path], tmp_path: Path) -> None:
    with opened_page("about:blank", ready=False) as page:
        requests: list[str] = []
        problems: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda problem: problems.append(str(problem)))
        page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
        page.goto(address)
        page.wait_for_selector("body[data-ready=true]")
        assert page.is_disabled("#ask")

        page.set_input_files("[data-side=prior] input", films[0])
        page.wait_for_selector("text=Now the other film.")
        page.set_input_files("[data-side=current] input", films[1])
        page.wait_for_selector("text=Ask, or press Enter.")
        page.keyboard.press("a")
        page.wait_for_selector("#swap.bad")
        first = page.inner_text("#answer")
        assert first.replace(" ", "").isdigit()
        assert page.inner_text("#swap") == "read backwards: another change", "this model says the same of all films"
        assert [chip.strip() for chip in page.locator("#chips li").all_inner_texts()] == [
            "edema: new 0.90", "pleural effusion: small → massive",
        ]  # fmt: skip

        assert _painted(page, "prior") == 0
        page.keyboard.press("1")
        assert page.get_attribute(CHIP, "aria-pressed") == "true"
        assert _painted(page, "prior") > 1000 and _painted(page, "current") > 1000
        page.keyboard.press("1")
        assert _painted(page, "current") == 0

        for key, mode in (("w", "swipe"), ("b", "blink"), ("s", "side")):
            page.keyboard.press(key)
            assert page.get_attribute("#films", "data-mode") == mode
        still = page.locator("[data-side=current] canvas").first.screenshot()
        page.keyboard.press("+")
        page.wait_for_timeout(400)
        assert page.locator("[data-side=current] canvas").first.screenshot() != still, "both films move together"

        page.keyboard.press("x")
        page.wait_for_selector("text=Ask, or press Enter.")
        page.wait_for_timeout(300)
        page.keyboard.press("a")
        page.wait_for_selector("#swap.bad")
        assert page.inner_text("#answer").split() == first.split()[::-1], "the films were exchanged"

        page.fill("#question", "who are you?")
        page.press("#question", "Enter")
        page.wait_for_selector("#answer.error")
        assert "is not understood" in page.inner_text("#answer")

        assert page.get_attribute("html", "data-theme") == "dark"
        page.click("#theme")
        assert page.get_attribute("html", "data-theme") == "light"
        page.set_viewport_size({"width": 360, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert all(url.startswith((address, "data:", "blob:")) for url in requests), requests
    assert [problem for problem in problems if "422" not in problem] == []


def _painted(page: object, side: str) -> int:
    """Pixels of the map over a film."""
    script = """side => {
        const canvas = document.querySelector(`[data-side=${side}] canvas.map`);
        const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        return data.filter((value, index) => index % 4 === 3 && value > 0).length;
    }"""
    return int(page.evaluate(script, side))  # type: ignore[attr-defined]


def test_the_examples_are_the_bundled_pairs() -> None:
    with TestClient(create_app(Echo(), "echo", Limits(readers=1)), base_url="http://localhost") as client:
        listed = client.get("/examples").json()
        assert len(listed) == 9
        assert {example["title"] for example in listed} >= {"Hannover: improved", "NIH: worsened"}
        for example in listed:
            assert client.get(f"/samples/{example['prior']}").content[:2] == b"\xff\xd8"
