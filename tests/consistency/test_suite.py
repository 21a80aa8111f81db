"""The consistency suite: composition of changes, models that keep or break each rule, HTTP, the page."""

from __future__ import annotations

import base64
import csv
import io
import itertools
import json
import threading
from collections.abc import Iterator
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from toy import PLACES, SIDE, film

from intervalchange.cli import main
from intervalchange.consistency.answerers import LocalModel, RemoteModel, answer_many
from intervalchange.consistency.page import consistency_page
from intervalchange.consistency.pairs import pairs_of, triangles_of
from intervalchange.consistency.suite import SCORES, run_suite
from intervalchange.data.prepare import prepare
from intervalchange.data.prepared import Prepared
from intervalchange.errors import ConfigError, InputError, RunError, SourceError
from intervalchange.evaluation.metrics.consistency import (
    agreement_measures,
    agreement_tally,
    compose,
    reliance_measures,
    reliance_tally,
    triangle_tally,
)
from intervalchange.evaluation.metrics.statistics import point_estimates
from intervalchange.foreign_models.kept_answers import KeptAnswers, key_of
from intervalchange.foreign_models.records import FilmQuestion
from intervalchange.grammar import DIFFERENCE_QUESTION, NOTHING, render
from intervalchange.inference import load
from intervalchange.records import Change, Study

FINDINGS = tuple(PLACES)
GRADES = ("mild", "moderate", "severe")


# --- composition ----------------------------------------------------------------------------------------------------

states = st.dictionaries(st.sampled_from(FINDINGS), st.sampled_from(GRADES))


def study(levels: dict[str, str]) -> Study:
    return Study("s", "i", findings={finding: float(finding in levels) for finding in FINDINGS}, levels=levels)


@given(states, states, states)
def test_steps_between_real_states_compose_to_the_whole(one: dict, two: dict, three: dict) -> None:
    visits = [study(levels) for levels in (one, two, three)]
    steps = [Change.between(prior, current) for prior, current in itertools.pairwise(visits)]
    composed, whole = compose(*steps), Change.between(visits[0], visits[2])
    assert not composed.contradictory
    assert (composed.change.added, composed.change.missing) == (whole.added, whole.missing)
    closed = {level for level in whole.levels if level.finding not in composed.open_levels}
    assert composed.change.levels == closed
    assert compose(steps[1].reverse(), steps[0].reverse()).change == composed.change.reverse()
    answers = [[render(change)] for change in (*steps, whole)]
    found = point_estimates(triangle_tally(*answers), agreement_measures("triangle"))
    assert found["triangle.rate"] == 1 or not any((*steps, whole))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Change.of(["edema"]), Change.of(["edema"])),
        (Change.of(missing=["edema"]), Change.of(missing=["edema"])),
        (Change.of(missing=["edema"]), Change.of(levels=[("edema", "mild", "severe")])),
        (Change.of(levels=[("edema", "mild", "severe")]), Change.of(["edema"])),
        (Change.of(levels=[("edema", "mild", "severe")]), Change.of(levels=[("edema", "mild", "moderate")])),
        (Change.of(["edema"], ["edema"]), Change()),
    ],
)
def test_steps_that_cannot_both_be_true(first: Change, second: Change) -> None:
    assert compose(first, second).contradictory == {"edema"}
    assert not compose(first, second).change


def test_triangle_by_hand() -> None:
    """Kept; the whole says nothing though edema came; a contradiction; three times nothing, which is not asked."""
    edema, gone = render(Change.of(["edema"])), render(Change.of(missing=["edema"]))
    counts = triangle_tally([edema, edema, edema, NOTHING], [gone, NOTHING, edema, NOTHING], [NOTHING] * 4)
    assert counts["triangle_asked"].tolist() == [1, 1, 1, 0]
    assert counts["triangle_kept"].tolist() == [1, 0, 0, 0]
    assert counts["triangle_items"].tolist() == [0, 1, 1, 0] and not counts["triangle_shared"].any()


@pytest.mark.parametrize(
    ("first", "second", "whole", "kept"),
    [
        ("The edema is worse.", "The edema is worse.", "Worsening edema.", 1),
        ("The edema is worse.", "The edema is unchanged.", "The edema has worsened.", 1),
        ("The edema is worse.", "The edema is better.", "Edema is unchanged.", 1),
        ("The edema is worse.", "The edema is better.", "The edema is worse.", 1),
        ("The edema is worse.", "The edema is better.", "New edema.", 0),
        ("There is new edema.", "The edema is worse.", "There is new edema.", 1),
        ("There is new edema.", "The edema has resolved.", "No change.", 1),
        ("The edema is better.", "The edema has resolved.", "The edema has resolved.", 1),
        ("The edema has resolved.", "The edema is worse.", "The edema is worse.", 0),
        ("The edema is better.", "The edema is better.", "No change.", 0),
    ],
)
def test_triangle_of_free_answers(first: str, second: str, whole: str, kept: int) -> None:
    """By course: worse and then better may end anywhere, gone and then worse cannot be."""
    counts = triangle_tally([first], [second], [whole], [DIFFERENCE_QUESTION])
    assert counts["triangle_asked"].tolist() == [1] and counts["triangle_kept"].tolist() == [kept]


def test_agreement_and_reliance() -> None:
    edema, hernia = render(Change.of(["edema"])), render(Change.of(["hernia"]))
    answers, others = [edema, edema, NOTHING, NOTHING, "zebra"], [edema, hernia, NOTHING, edema, "zebra"]
    counts = agreement_tally("paraphrase", answers, others)
    assert counts["paraphrase_asked"].tolist() == [1, 1, 0, 1, 1]
    assert counts["paraphrase_kept"].tolist() == [1, 0, 0, 0, 0], "what cannot be read agrees with nothing"
    moved = reliance_tally(answers, others)
    assert point_estimates(moved, reliance_measures)["moved"] == pytest.approx(2 / 3), "gibberish has not moved"


# --- a small cohort whose films say what they show ------------------------------------------------------------------


def seen(picture: np.ndarray) -> set[str]:
    """The findings of a toy film: their marks are bright."""
    grey = picture.astype(float) / 255
    return {name for name, where in PLACES.items() if grey[where].mean() > 0.55}


def oracle(prior: np.ndarray, current: np.ndarray, question: str) -> str:
    """Looks at both films and says what differs."""
    then, now = seen(prior), seen(current)
    return render(Change.of(now - then, then - now))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Twelve patients with three visits: visits 1 and 2 differ, and every third patient stays as at visit 2."""
    folder = tmp_path_factory.mktemp("suite")
    rng = np.random.default_rng(0)
    with (folder / "pairs.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(
            ["patient", "prior", "current", "prior_findings", "current_findings", "answer", "split", "same_state"]
        )
        for patient in range(12):
            one = {FINDINGS[patient % 3]}
            two = {FINDINGS[(patient + 1) % 3]}
            three = two if patient % 3 == 0 else one | two
            visits = [one, two, three]
            for visit, findings in enumerate(visits):
                pixels = (film(findings, rng) * 255).round().astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{patient}-{visit}.png")
            for visit, (then, now) in enumerate(itertools.pairwise(visits)):
                answer = render(Change.of(now - then, then - now))
                named = ["|".join(sorted(findings)) for findings in (then, now)]
                names = [f"{patient}-{visit}.png", f"{patient}-{visit + 1}.png"]
                table.writerow([f"p{patient}", *names, *named, answer, "test", "true" if then == now else ""])
    prepare("pairs", folder, folder / "prepared", pixels=SIDE, progress=False)
    return Prepared(folder / "prepared")


def test_a_model_that_looks_keeps_every_rule(prepared: Prepared) -> None:
    found = run_suite(oracle, prepared, replicates=100).metrics
    for _, name in SCORES.values():
        assert found[f"suite.{name}"] == 1, name
    assert found["suite.given.change_f1"] == 1 and found["suite.unread.rate"] == 0
    assert found["suite.shuffled.change_f1"] < 0.7
    assert found["suite.pairs.count"] == 24 and found["suite.same_state.count"] == 4
    assert found["suite.triangle.count"] == 12
    assert found["suite.triangle.reference.rate"] is None, "this table names what is there, never what is absent"
    assert found["suite.swap.rate.low"] == 1
    assert found["suite.blank.rate.low"] is None, "no patient, no interval"


def prose(prior: np.ndarray, current: np.ndarray, question: str) -> str:
    """The oracle, in words of its own."""
    then, now = seen(prior), seen(current)
    said = [f"There is a new {name}." for name in sorted(now - then)]
    said += [f"The {name} seen before has resolved." for name in sorted(then - now)]
    return " ".join(said) or "I see no change between the two films."


def test_prose_is_checked_as_the_template_is(prepared: Prepared) -> None:
    template = run_suite(oracle, prepared, limit=6, replicates=20).metrics
    assert run_suite(prose, prepared, limit=6, replicates=20).metrics == template

    def hedging(prior: np.ndarray, current: np.ndarray, question: str) -> str:
        return "I cannot compare these images." if (prior != current).any() else "No change."

    found = run_suite(hedging, prepared, limit=6, replicates=20).metrics
    assert found["suite.identity.rate"] == 1 and found["suite.identity_moved.rate"] == 0
    assert found["suite.swap.rate"] is None and found["suite.swap.count"] == 0, "who cannot tell is not consistent"


def test_a_model_that_says_one_thing_breaks_most(prepared: Prepared) -> None:
    words = render(Change.of(["edema"]))
    found = run_suite(lambda prior, current, question: words, prepared, replicates=20).metrics
    for test in ("swap", "identity", "identity_moved", "same_state", "triangle", "blank"):
        assert found[f"suite.{test}.rate"] == 0, test
    assert found["suite.shuffled.moved"] == 0
    assert found["suite.paraphrase.rate"] == found["suite.misregistration.rate"] == 1


def test_silence_is_not_consistency(prepared: Prepared) -> None:
    """ "Nothing has changed" every time: right where nothing did, and not asked about the rest."""
    found = run_suite(lambda prior, current, question: NOTHING, prepared, replicates=20).metrics
    assert found["suite.identity.rate"] == 1
    assert found["suite.swap.rate"] is None and found["suite.swap.count"] == 0
    assert found["suite.given.change_f1"] == 0


def test_each_break_is_found_where_it_is(prepared: Prepared) -> None:
    def by_words(prior: np.ndarray, current: np.ndarray, question: str) -> str:
        return oracle(prior, current, question) if question.startswith("what") else NOTHING

    def by_pixels(prior: np.ndarray, current: np.ndarray, question: str) -> str:
        return render(Change.of(["edema"])) if (prior != current).any() else NOTHING

    def one_way(prior: np.ndarray, current: np.ndarray, question: str) -> str:
        return render(Change.of(seen(current) - seen(prior)))

    words, pixels, way = (run_suite(model, prepared, replicates=20).metrics for model in (by_words, by_pixels, one_way))
    assert words["suite.paraphrase.rate"] == pytest.approx(0.25) and words["suite.swap.rate"] == 1
    assert pixels["suite.identity.rate"] == 1
    assert pixels["suite.identity_moved.rate"] == pixels["suite.same_state.rate"] == 0
    assert way["suite.swap.rate"] < 0.5 and way["suite.triangle.rate"] < 1


def test_questions_are_asked_once_and_together(prepared: Prepared) -> None:
    class Counted:
        asked: list[int] = []  # noqa: RUF012 - of this test alone

        def __call__(self, prior: np.ndarray, current: np.ndarray, question: str) -> str:
            raise AssertionError("it can answer many at once")

        def answer_many(self, asked: list) -> list[str]:
            self.asked.append(len(asked))
            assert all(one.shape == two.shape == (SIDE, SIDE) and one.dtype == np.uint8 for one, two, _ in asked)
            return [oracle(*one) for one in asked]

    model = Counted()
    scores = run_suite(model, prepared, replicates=20)
    assert sum(model.asked) == len(scores.answers) == len(set(scores.answers))
    assert max(model.asked) > 12


def test_a_run_that_knows_the_patients_is_refused(prepared: Prepared) -> None:
    known = pairs_of(prepared, "test")[0].case.patient_id
    predictor = load("demo")
    predictor.run["training_patients"] = [known]
    with pytest.raises(RunError, match="1 patients of this split were in the training data"):
        run_suite(LocalModel(predictor), prepared, limit=1, replicates=5)
    predictor.refuse_training_patients(prepared, ["somebody else"], "test")


def test_limit_and_refusals(prepared: Prepared) -> None:
    pairs = pairs_of(prepared, "test")
    assert len(pairs) == 24 and len(triangles_of(pairs)) == 12
    found = run_suite(oracle, prepared, limit=5, replicates=20).metrics
    assert found["suite.pairs.count"] == 5 and found["suite.triangle.count"] == 5
    with pytest.raises(ConfigError, match="no pair"):
        run_suite(oracle, prepared, "train")
    with pytest.raises(RunError, match="one text for each"):
        answer_many(lambda prior, current, question: None, [(np.zeros((2, 2)), np.zeros((2, 2)), "q")])  # type: ignore[arg-type,return-value]


# --- HTTP -----------------------------------------------------------------------------------------------------------


class Endpoint(BaseHTTPRequestHandler):
    """A model of somebody else; the path says how it behaves."""

    def do_POST(self) -> None:
        plain = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        films = [
            np.asarray(Image.open(io.BytesIO(base64.b64decode(plain[side], validate=True))))
            for side in ("prior", "current")
        ]
        answer = oracle(films[0], films[1], plain["question"])
        bodies = {
            "/answer": json.dumps({"answer": answer, "more": 1}).encode(),
            "/text": b"nothing has changed",
            "/other": json.dumps({"text": "nothing"}).encode(),
            "/long": b"x" * (2 << 20),
        }
        self.send_response(200 if self.path in bodies else 503)
        self.end_headers()
        self.wfile.write(bodies.get(self.path, b""))

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_endpoint_scores_as_the_function_behind_it(prepared: Prepared, endpoint: str) -> None:
    near = run_suite(oracle, prepared, limit=4, replicates=20).metrics
    assert run_suite(RemoteModel(f"{endpoint}/answer"), prepared, limit=4, replicates=20).metrics == near


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/text", "not JSON"),
        ("/other", "no text under `answer`"),
        ("/long", "longer than"),
        ("/missing", "status 503"),
    ],
)
def test_an_endpoint_that_does_not_answer(endpoint: str, path: str, says: str) -> None:
    blank = np.zeros((SIDE, SIDE), np.uint8)
    with pytest.raises(RunError, match=says):
        RemoteModel(endpoint + path)(blank, blank, "what has changed?")


def test_an_endpoint_that_is_not_there() -> None:
    blank = np.zeros((8, 8), np.uint8)
    with pytest.raises(RunError, match="did not reply"):
        RemoteModel("http://127.0.0.1:9", timeout=5)(blank, blank, "what has changed?")
    with pytest.raises(InputError, match="http://"):
        RemoteModel("file:///etc/hostname")


# --- the page and the command -----------------------------------------------------------------------------------------


def test_the_page_stands_alone(prepared: Prepared) -> None:
    def never(prior: np.ndarray, current: np.ndarray, question: str) -> str:
        return NOTHING

    found = [
        run_suite(model, prepared, name=name, limit=6, replicates=20)
        for name, model in (("<oracle>", oracle), ("silent", never))
    ]
    html = consistency_page(found)
    assert "<oracle>" not in html and "&lt;oracle&gt;" in html
    assert "http://" not in html and "https://" not in html and "<script" not in html
    assert html.count("<circle") == sum(
        isinstance(found[place].metrics[f"suite.{name}"], float) for place in (0, 1) for _, name in SCORES.values()
    )
    assert all(words in unescape(html) for words, _ in SCORES.values())


def test_the_command(prepared: Prepared, endpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--data", str(prepared.folder), "--limit", "2"]
    assert main(["check", f"{endpoint}/answer", *where, "--out", str(tmp_path / "suite.html")]) == 0
    assert "Consistency suite" in (tmp_path / "suite.html").read_text(encoding="utf-8")
    assert main(["check", f"{endpoint}/answer", *where]) == 0
    assert json.loads(capsys.readouterr().out)[0]["suite.swap.rate"] == 1
    assert main(["check", f"{endpoint}/missing", *where]) == 2
    assert "status 503" in capsys.readouterr().err


def test_what_was_answered_before_it_was_cut_off_is_not_asked_again(prepared: Prepared, tmp_path: Path) -> None:
    asked: list[bytes] = []

    def model(prior: np.ndarray, current: np.ndarray, question: str) -> str:
        if len(asked) == 70:
            raise RunError("it fell over.", remedy="Start it again.")
        asked.append(prior.tobytes() + current.tobytes() + question.encode())
        return oracle(prior, current, question)

    path = tmp_path / "kept.jsonl"
    with pytest.raises(RunError):
        run_suite(model, prepared, name="m", replicates=20, keep=KeptAnswers(path))
    assert len(path.read_bytes().splitlines()) == 70
    with path.open("ab") as file:
        file.write(b'{"key": "cut o')
    before = set(asked)
    asked.clear()
    asked.extend([b""] * 71)  # Past the place where it falls over.
    found = run_suite(model, prepared, name="m", replicates=20, keep=KeptAnswers(path))
    assert not before & set(asked)
    assert found.metrics == run_suite(oracle, prepared, name="m", replicates=20).metrics
    other = KeptAnswers(path)
    blank = np.zeros((SIDE, SIDE), np.uint8)
    assert key_of("m ", FilmQuestion(blank, blank, "q")) != key_of("n ", FilmQuestion(blank, blank, "q"))
    assert len(other.known) == len(found.answers)


@pytest.mark.parametrize("content", ['{"case_id": "1"}\n', '{"case_id": "1"}', "my notes", "\x00\n"])
def test_a_file_of_somebody_else_is_refused_and_left_as_it_is(content: str, tmp_path: Path) -> None:
    path = tmp_path / "suite.answers.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SourceError, match="line 1"):
        KeptAnswers(path)
    assert path.read_text(encoding="utf-8") == content


def test_the_command_keeps_answers_until_it_is_done(
    prepared: Prepared, endpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "suite.json"
    command = ["--data", str(prepared.folder), "--limit", "2", "--out", str(out)]
    assert main(["check", f"{endpoint}/answer", f"{endpoint}/missing", *command]) == 2
    kept = tmp_path / "suite.answers.jsonl"
    assert kept.is_file() and "asks only what is left" in capsys.readouterr().err
    assert main(["check", f"{endpoint}/answer", *command]) == 0
    assert not kept.exists() and json.loads(out.read_text(encoding="utf-8"))[0]["suite.swap.rate"] == 1
