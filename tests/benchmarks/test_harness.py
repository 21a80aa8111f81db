"""The harness of benchmarks/: results that resume, pooled seeds, tables and intervals, budgets and provenance."""

from __future__ import annotations

import importlib
import json
import os
import sys
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
import torch

from intervalchange.evaluation.answers.predictions import read_predictions, write_predictions
from intervalchange.records import Prediction

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
from harness import command, film_vectors, timing, trials
from harness.answers import pool_rows
from harness.records import Interval, Result, Row, Stage, Trial
from harness.tables import mean_and_deviation, table_lines

ROOT = Path(__file__).resolve().parents[2]


def results(path: Path, entries: str = "runs", minutes: float = 1.0) -> trials.Results:
    return trials.Results(path, {"minutes": minutes}, entries, ("row", "seed"), lambda one: (one["row"], one["seed"]))


@pytest.mark.parametrize("entries", ["runs", ""])
def test_results_are_written_in_order_one_by_one_and_read_again(tmp_path: Path, entries: str) -> None:
    path = tmp_path / "new" / "results.json"
    measured = results(path, entries)
    for row, seed in (("b", 0), ("a", 1), ("a", 0)):
        assert not measured.has(row, seed)
        measured.add(Result({"row": row, "seed": seed}, {"f1": 0.5}))
        assert results(path, entries).has(row, seed)
    content = json.loads(path.read_text())
    listed = content[entries] if entries else content
    assert [(one["row"], one["seed"], one["f1"]) for one in listed] == [("a", 0, 0.5), ("a", 1, 0.5), ("b", 0, 0.5)]
    assert all(set(one["provenance"]) == {"command", "commit", "machine"} for one in listed)
    # Settings stand once, or in every entry of a bare list.
    assert [holder["minutes"] for holder in ([content] if entries else listed)] == [1.0] * (1 if entries else 3)
    with pytest.raises(SystemExit, match=r"other options \(minutes 1.0, not 2.0\)"):
        results(path, entries, minutes=2.0)


def test_markdown_stands_beside_the_results(tmp_path: Path) -> None:
    measured = results(tmp_path / "one.json")
    measured.write_markdown("| table |")
    assert (tmp_path / "one.md").read_text() == "| table |\n"


def test_a_trial_names_its_files() -> None:
    assert Trial(Row("residual + alignment"), 2).name == "residual_and_alignment.2"
    assert Trial(Row("random, frozen"), 0).name == "random_frozen.0"
    assert Trial(Row("real"), 1, "CM-CGNS").name == "real.1.CM-CGNS"
    assert Stage("c2f/align").short == "align"


def test_stages_are_trained_each_from_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def train(stage: str, data: Path, out: Path, size: str, *, sources: list[Path], overrides: dict) -> Path:
        calls.append((stage, out.name, size, [source.name for source in sources], overrides))
        return out

    monkeypatch.setattr(trials, "train", train)
    stages = (Stage("c2f/align", 0.25), Stage("c2f/answer", 0.75))

    def run(source: Path | None) -> Path:
        return trials.train_stages(
            stages, tmp_path, lambda stage: tmp_path / stage.short, lambda stage: {"share": stage.share}, source
        )

    assert run(tmp_path / "diseases") == run(None) == tmp_path / "answer"
    second = ("c2f/answer", "answer", "small", ["align"], {"share": 0.75})
    assert calls == [
        ("c2f/align", "align", "small", ["diseases"], {"share": 0.25}),
        second,
        ("c2f/align", "align", "small", [], {"share": 0.25}),
        second,
    ]
    with pytest.raises(ValueError, match="without stages"):
        trials.train_stages((), tmp_path, lambda _: tmp_path, lambda _: {})


def test_two_processes_of_one_thread_each() -> None:
    with trials.two_processes() as pool:
        started: list[Future[int]] = [pool.submit(torch.get_num_threads) for _ in range(2)]
        assert [one.result() for one in started] == [1, 1]
        assert pool.submit(os.getpid).result() != os.getpid()


def answers(path: Path, texts: list[str]) -> Path:
    references = ["the main image has an additional finding of edema than the reference image.", "nothing has changed."]
    cases = zip(texts, references, strict=True)
    write_predictions(
        path,
        [
            Prediction(f"case-{row}", f"patient-{row}", "difference", "what has changed?", text, reference=reference)
            for row, (text, reference) in enumerate(cases)
        ],
    )
    return path


def test_seeds_are_pooled_and_rows_compared_with_the_first(tmp_path: Path) -> None:
    edema = "the main image has an additional finding of edema than the reference image."
    right, blind = [edema, "nothing has changed."], ["nothing has changed."] * 2
    files = {
        row: [answers(tmp_path / f"{row}.{seed}.jsonl", texts) for seed, texts in enumerate(seeds)]
        for row, seeds in {"full": (right, blind), "no + graph": (blind, blind)}.items()
    }
    pooled = pool_rows(files, tmp_path, "floors.")
    f1 = "change.findings.micro.f1"
    assert [one[f1] for one in pooled.rows["full"]["seeds"]] == [1.0, 0.0]
    assert pooled.rows["full"]["pooled"][f1] == pytest.approx(2 / 3)
    assert pooled.rows["no + graph"]["pooled"][f1] == 0.0
    assert list(pooled.paired) == ["no_and_graph.pooled.jsonl"]
    assert pooled.paired["no_and_graph.pooled.jsonl"][f1] == pytest.approx(-2 / 3)
    together = read_predictions(pooled.files[0])[1]
    assert [one.case_id for one in together] == ["case-0#0", "case-1#0", "case-0#1", "case-1#1"]


def test_intervals_are_averaged_and_printed() -> None:
    mean = Interval.mean([Interval(0.1, 0.0, 0.2), Interval(0.3, 0.2, 0.6)])
    assert (mean.value, mean.low, mean.high) == pytest.approx((0.2, 0.1, 0.4))
    assert mean.text() == "0.200 (0.100 to 0.400)" and mean.text("+.2f", "-") == "+0.20 (+0.10-+0.40)"
    assert Interval.of({"f1": 0.5, "f1.low": 0.4, "f1.high": 0.6}, "f1") == Interval(0.5, 0.4, 0.6)


def test_tables_and_means() -> None:
    assert list(table_lines(["", "b"], [["x", "1"]], "---:|")) == ["| | b |", "|---|---:|", "| x | 1 |"]
    assert mean_and_deviation([0.5]) == "0.500" and mean_and_deviation([float("nan")]) == "-"
    assert mean_and_deviation([0.7, 0.8, float("nan")]) == "0.750 ± 0.071"


def test_a_budget_ends_with_its_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 10.0, 11.5, 13.0])
    monkeypatch.setattr(timing.time, "process_time", lambda: next(clock))
    assert list(timing.cpu_budget(0.05)) == [0.0, 0.5]


def test_the_least_seconds_of_several_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 3.0, 10.0, 12.0])
    monkeypatch.setattr(timing.time, "process_time", lambda: next(clock))
    assert timing.least_cpu_seconds(lambda: None, 2) == 2.0


def test_a_part_in_a_process_of_its_own_prints_json(tmp_path: Path) -> None:
    script = tmp_path / "part.py"
    script.write_text("import sys\nprint('log')\nprint('{\"size\": ' + sys.argv[1] + '}')\n")
    assert timing.in_own_process(str(script), "3") == {"size": 3}


def test_a_result_carries_its_provenance_and_parts_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/any/where/rates.py", "--out", "a file.json"])
    path = tmp_path / "deep" / "rates.json"
    command.write_result(path, {"cores": 2})
    written = json.loads(path.read_text())
    assert written["cores"] == 2
    assert written["provenance"]["command"] == "python benchmarks/rates.py --out 'a file.json'"
    assert "cores" in written["provenance"]["machine"]
    command.write_part(path, "small", {"steps": 3})
    again = command.read_result(path)
    assert again["cores"] == 2 and again["small"]["steps"] == 3 and "command" in again["small"]["provenance"]
    assert command.read_result(tmp_path / "none.json") == {}


def test_films_are_encoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Batch:
        current = torch.ones(2, 3)

    monkeypatch.setattr(film_vectors, "batches", lambda films, size: [Batch(), Batch()])
    path = tmp_path / "new" / "vectors.npy"
    first = film_vectors.encode_once(None, lambda films: 2 * films, path)
    again = film_vectors.encode_once(None, lambda films: pytest.fail("encoded again"), path)
    assert first.shape == (4, 3) and torch.equal(first, again) and float(first[0, 0]) == 2


def test_draws_begin_with_all_films_and_are_the_same_each_time() -> None:
    target, patients = np.array([[0.0], [0.0], [1.0], [1.0]]), np.array(["a", "b", "c", "d"])
    predicted = np.array([[0.1], [0.2], [0.15], [0.9]])
    draws = film_vectors.auroc_draws(target, predicted, patients)
    assert draws.shape == (1 + film_vectors.DRAWS, 1) and draws[0, 0] == pytest.approx(0.75)
    assert film_vectors.macro_auroc(target, predicted) == pytest.approx(0.75)
    np.testing.assert_array_equal(draws, film_vectors.auroc_draws(target, predicted, patients))
    shown = film_vectors.value_and_interval(draws[:, 0])
    assert shown["low"] <= shown["value"] == pytest.approx(0.75) and shown["high"] <= 1


# --- committed results and the index ----------------------------------------------------------------------------------

RESULTS = ROOT / "benchmarks" / "results"
NEWER = ("cm_cgns_corrected", "table_corrected", "paper_steps", "left_out")


def rendered(name: str) -> str:
    """The Markdown that today's scripts make of a committed results file."""
    content = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    if name in ("table", "table_corrected"):
        return str(importlib.import_module("table").page(content)) + "\n"
    if name == "pretrained_answers":
        return "\n".join(importlib.import_module(name).lines(content["pairs"])) + "\n"
    if name == "blind_spots":
        return str(importlib.import_module(name).markdown(content["figures"], content["pairs"], content["command"]))
    if name in ("paper_steps", "left_out"):
        return str(importlib.import_module(name).markdown(content["rows"])) + "\n"
    return "\n".join(importlib.import_module("cm_cgns").lines(content["seeds"])) + "\n"


@pytest.mark.parametrize("name", ["table", "pretrained_answers", "blind_spots", "cm_cgns", "cm_cgns_8min", *NEWER])
def test_committed_results_still_render_the_committed_tables(name: str) -> None:
    assert rendered(name) == (RESULTS / f"{name}.md").read_text(encoding="utf-8")


def test_every_committed_table_is_rendered_or_comes_from_score() -> None:
    tables = {path.stem for path in RESULTS.glob("*.md")}
    assert tables == {"table", "pretrained_answers", "blind_spots", "cm_cgns", "cm_cgns_8min", "demo", *NEWER}


def test_committed_probes_still_make_a_table() -> None:
    probes = importlib.import_module("probes")
    rows = json.loads((RESULTS / "probes.json").read_text(encoding="utf-8"))["rows"]
    lines = probes.table(rows).splitlines()
    shown = sum(1 + len(probes.BESIDE.get(row["task"].split()[1], ())) for row in rows)
    assert len(lines) == 2 + shown and all(line.count("|") == 8 for line in lines)


def test_committed_results_resume_under_their_own_options(tmp_path: Path) -> None:
    table, cm_cgns = importlib.import_module("table"), importlib.import_module("cm_cgns")
    plan = table.Plan(tmp_path, tmp_path, None, None, tmp_path, 12.0, 9.0)
    known = table.results_of(RESULTS / "table.json", plan)
    assert all(known.has(row, seed) for row in [row.name for row in table.METHODS] for seed in range(3))
    own = cm_cgns.Plan(tmp_path, tmp_path, tmp_path, 3.0, 0.75, "small")
    seeds = cm_cgns.results_of(RESULTS / "cm_cgns.json", own, cm_cgns.rows_of("small"))
    assert all(seeds.has(seed) for seed in range(3))


def test_the_index_lists_every_script_and_result() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    scripts = {path.name for path in (ROOT / "benchmarks").glob("*.py")}
    assert [name for name in sorted(scripts) if f"`{name}`" not in page] == []
    assert [path.name for path in sorted(RESULTS.iterdir()) if f"`{path.name}`" not in page] == []
