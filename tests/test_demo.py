"""The weights in the wheel: small, loadable, and as good as they are said to be on patients nobody trained on."""

from __future__ import annotations

import itertools
import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import intervalchange as ic
from intervalchange import grammar
from intervalchange.evaluation.metrics.change import change_scores
from intervalchange.inference import DEMO, Predictor
from intervalchange.policy import EVALUATION_SEED, RESEARCH_USE
from intervalchange.simulation.cohort import simulate_patient

SAMPLES = DEMO.parent / "samples"


@pytest.fixture(scope="module")
def demo() -> Predictor:
    return ic.load("demo")


def test_it_is_small_and_says_what_it_is() -> None:
    assert sum(file.stat().st_size for file in DEMO.iterdir()) <= 10 * 2**20
    assert not list(DEMO.glob("*.bin")) and not list(DEMO.glob("*.pt*"))
    assert "simulated" in (DEMO / "README.md").read_text(encoding="utf-8").lower()


def test_its_training_seed_is_no_evaluation_seed(demo: Predictor) -> None:
    assert 0 <= demo.run["simulated"]["seed"] < EVALUATION_SEED
    assert len(demo.training_patients) > 1000


def test_real_samples_get_an_answer_that_reads(demo: Predictor) -> None:
    for pair in pd.read_csv(SAMPLES / "pairs.csv").itertuples():
        result = demo.answer(SAMPLES / str(pair.prior), SAMPLES / str(pair.current))
        reading = grammar.parse(result.answer)
        assert not reading.unread and reading.change == result.change
        film = demo.answer(SAMPLES / str(pair.current), SAMPLES / str(pair.current))
        assert film.answer == grammar.NOTHING, "one film has not changed against itself"


def test_every_film_has_its_licence() -> None:
    listed = pd.read_csv(SAMPLES / "pairs.csv")
    assert {*listed.prior, *listed.current} == {file.name for file in SAMPLES.glob("*.jpg")}
    credits = (SAMPLES / "README.md").read_text(encoding="utf-8")
    assert "CC BY 3.0" in credits and "NIH Clinical Center" in credits
    assert set(listed.source) == {"hannover", "nih"}


@pytest.mark.slow
def test_it_reads_simulated_pairs(demo: Predictor, tmp_path: Path) -> None:
    answers, references = [], []
    for index in range(24):
        for prior, current in itertools.pairwise(simulate_patient(EVALUATION_SEED + 10, index, pixels=256).studies):
            paths = []
            for name, study in (("prior", prior), ("current", current)):
                assert study.film is not None
                paths.append(tmp_path / f"{name}.png")
                Image.fromarray((255 * study.film.pixels).astype(np.uint8)).save(paths[-1])
            answers.append(demo.answer(*paths).answer)
            references.append(grammar.render(ic.Change.between(prior.study, current.study)))
    found = change_scores(answers, references)["findings.micro.f1"]
    # Measured on 300 patients: see README. Some 60 pairs scatter by about .06.
    assert found > 0.55


@pytest.mark.slow
def test_make_demo_writes_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Path(__file__).resolve().parents[1] / "examples" / "demo.py"
    monkeypatch.setattr("sys.argv", [str(script), "--out", str(tmp_path)])
    runpy.run_path(str(script), run_name="__main__")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<img") >= 2 * 9, "the films of the bundled pairs are on the page"
    assert RESEARCH_USE in page
