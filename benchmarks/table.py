"""Every method of the project on one simulated cohort: equal CPU time, one encoder, three seeds, one table.

    python benchmarks/table.py --train prepared/train128 --test prepared/eval128 --style-b prepared/evalb128 \\
        --real ../shared/data --out runs/table --minutes 12

Simulated; not a ranking on patients. Each method gets --minutes of one core's CPU time over all its stages, in the
shares of ROWS; question_only, which sees no film, a quarter. The films are seen by one shape of encoder (WIDTHS at 128
pixels). It is trained once for --encoder-minutes on finding labels (set_difference), and every method starts from it.

Columns: the test cohort in the films' own style and in style b, which nobody was trained on; two real collections,
zero-shot: AUC of the direction of change (labelled worsened or improved; labels gained or lost), from the answer alone:
findings added less findings missing, plus levels up less levels down.

A method whose validation F1 rose by RISING or more in the last half of its answering stage is marked: not ranked.

Every figure is the mean over the seeds; intervals are by patient, their ends averaged over the seeds too (the seeds
answer the same patients, so this is never narrower than the interval of the mean).

Interrupted, the same command continues: finished runs and answered cases are left as they are. What a run measured goes
into --results (JSON) as soon as it is known, and a run that stands there is not made again, on no machine: delete its
entry to have it made anew. `--rows` and `--seeds` choose. Beside --results, as Markdown: the whole table, and what each
method (seed 0) answers to the same pairs. `--readme README.md` writes the main columns between its two marks.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from intervalchange.data.prepared import Prepared
from intervalchange.data.region_store import KEPT, weight_hash, write_region_store
from intervalchange.evaluation.answers.predictions import read_predictions
from intervalchange.evaluation.metrics.statistics import auc
from intervalchange.evaluation.scoring.score import score
from intervalchange.findings import RANKED_LEVELS
from intervalchange.inference import load
from intervalchange.inference import predict_to_file as predict
from intervalchange.records import Change
from intervalchange.training import train

WIDTHS, WIDTH, PIXELS = [16, 32, 64, 96], 48, 128
RISING = 0.02
TEXT = ("text.bleu4", "text.meteor_java15", "text.rouge_l_coco", "text.cider_d")
SHOWN = ("change.findings.micro.f1", "change.exact.accuracy", "change.false_change.rate", "change.direction_error.rate")
KEPT_FIGURES = (*SHOWN, *TEXT, "change.micro.", "change.levels.", "change.omission.", "consistency.", "text.bleu")
SPEED_CASES = 128
MARKS = ("<!-- methods table -->", "<!-- end of methods table -->")

ENCODER = {"model.widths": WIDTHS, "model.width": WIDTH, "model.pixels": PIXELS}
"""Of set_difference and the methods built on it."""
PYRAMID = {"model.backbone": "pyramid", "model.encoder_widths": WIDTHS, "model.pyramid_width": WIDTH}
"""Of the methods that take any encoder."""


@dataclass(frozen=True)
class Stage:
    """One stage of a row."""

    name: str
    share: float
    """Of the row's minutes."""
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One method."""

    stages: tuple[Stage, ...]
    encoder: str = "weights"
    """How its first stage gets the common encoder: `weights` (backbone_weights), `from` (--from), `none`; `regions`:
    from the film stages of REGIONS, whose part of the minutes counts as the row's own."""


DECODER = {"model.decoder_width": 96, "model.decoder_layers": 1}
FREE = {**PYRAMID, "model.encoder_rate": 0.1, "model.dropout": 0.0, "train.learning_rate": 1e-3}
"""Of the methods that say the answer word by word from what the encoder sees."""
REGIONS = Row((Stage("c2f/anatomy", 0.15), Stage("c2f/diseases", 0.35)), "from")
"""What the methods on regions begin with: trained once a seed, for all of them."""
REAL = {
    **FREE,
    **DECODER,
    "model.queries": 8,
    "model.projection_width": 96,
    "model.projection_feedforward": 192,
}
ROWS: dict[str, Row] = {
    "set_difference": Row((Stage("set_difference/answer", 1.0, ENCODER),), "from"),
    "ffa_cl": Row(
        (
            Stage(
                "ffa_cl/classify",
                0.4,
                {"model.pixels": PIXELS, "model.encoder_widths": WIDTHS, "model.pyramid_width": WIDTH},
            ),
            Stage("ffa_cl/answer", 0.6, ENCODER),
        ),
        "from",
    ),
    "real": Row((Stage("real/answer", 1.0, REAL),)),
    "mccformers_d": Row((Stage("mccformers/answer", 1.0, FREE),)),
    "mccformers_s": Row((Stage("mccformers/answer", 1.0, {**FREE, "model.pairing": "S"}),)),
    "idcpcl": Row((Stage("idcpcl/pretrain", 0.2, FREE), Stage("idcpcl/answer", 0.8, FREE))),
    "plural": Row(
        tuple(
            Stage(f"plural/{stage}", share, FREE)
            for stage, share in (("findings", 0.25), ("impression", 0.15), ("answer", 0.6))
        )
    ),
    "ved": Row((Stage("ved/answer", 1.0, FREE),)),
    "ekaid": Row((Stage("ekaid/answer", 0.5),), "regions"),
    "c2f": Row((Stage("c2f/align", 0.15), Stage("c2f/answer", 0.35)), "regions"),
    "question_only": Row((Stage("question_only/answer", 0.25),), "none"),
}
"""Method -> its stages. Sizes are the `small` presets with the common encoder."""


@dataclass(frozen=True)
class Plan:
    """What every run of the table shares."""

    train: Path
    test: Path
    style_b: Path | None
    real: Path | None
    out: Path
    minutes: float
    encoder_minutes: float

    @property
    def encoder(self) -> Path:
        return self.out / "encoder"

    def folder(self, name: str, seed: int, stage: Stage) -> Path:
        """Where a stage of a row is trained."""
        return self.out / f"{name}.{seed}.{stage.name.split('/')[1]}"


def budget(minutes: float, seed: int = 0) -> dict[str, Any]:
    """Overrides of a run that ends by its CPU minutes alone, validated once an epoch."""
    run = {"train.epochs": 0, "train.minutes": minutes, "train.eval_cases": 300, "train.seed": seed}
    return {**run, "train.augment": 0.5, "train.precision": "bf16"}


def train_encoder(plan: Plan) -> None:
    """The encoder that rows start from."""
    torch.set_num_threads(1)
    train("set_difference/answer", plan.train, plan.encoder, overrides={**ENCODER, **budget(plan.encoder_minutes)})


def train_regions(job: tuple[Plan, int]) -> Path:
    """The film stages that the methods on regions share, and what the last of them sees in the training films."""
    plan, seed = job
    torch.set_num_threads(1)
    folder = train_stages(plan, "regions", REGIONS, seed, plan.encoder)
    write_region_store(Prepared(plan.train), load(folder).model)
    return folder


def train_stages(plan: Plan, name: str, row: Row, seed: int, source: Path | None) -> Path:
    """The stages of a row with one seed, each from the one before; the folder of the last."""
    for stage in row.stages:
        folder = plan.folder(name, seed, stage)
        changes = {**budget(plan.minutes * stage.share, seed), **stage.options}
        if row.encoder == "weights" and source is None:
            changes["model.backbone_weights"] = str(plan.encoder)
        if row.encoder == "regions":
            changes["model.region_store"] = stored_regions(plan, seed)
        train(stage.name, plan.train, folder, sources=[source] if source else [], overrides=changes)
        source = folder
    assert source is not None
    return source


def train_row(plan: Plan, name: str, seed: int) -> Path:
    """All stages of a row with one seed; the folder of the last."""
    row = ROWS[name]
    starts = {"from": plan.encoder, "regions": plan.folder("regions", seed, REGIONS.stages[-1])}
    return train_stages(plan, name, row, seed, starts.get(row.encoder))


def stored_regions(plan: Plan, seed: int) -> str:
    """The name of the store that `train_regions` wrote."""
    model = load(plan.folder("regions", seed, REGIONS.stages[-1])).model
    return weight_hash(model.vision.state_dict())[:KEPT]


# --- one row with one seed -----------------------------------------------------------------------------------------


def direction(change: Change | None) -> float:
    """Above 0 where an answer says worse: findings added less missing, levels up less levels down."""
    if change is None:
        return 0.0
    ranks = [(RANKED_LEVELS.get(one.current, 0), RANKED_LEVELS.get(one.prior, 0)) for one in change.levels]
    levels = sum(int(now > then) - int(now < then) for now, then in ranks)
    return float(len(change.added) - len(change.missing) + levels)


def real_pairs(real: Path) -> dict[str, tuple[Path, pd.DataFrame]]:
    """Collection -> its folder and its pairs with a direction: columns prior, current, patient, worse."""
    longitudinal = real / "cxr_longitudinal"
    table = pd.read_csv(longitudinal / "pairs.csv")
    table = table[(table.consecutive == 1) & (table.same_view_group == 1)]
    table = table[table.change_label.isin(["worsened", "improved"])].assign(
        worse=lambda rows: (rows.change_label == "worsened").astype(int)
    )
    nih = pd.read_csv(real / "cxr_longitudinal_nih" / "pairs.csv")
    gained, lost = nih.new_findings.notna(), nih.resolved_findings.notna()
    nih = nih[(gained ^ lost) & (nih.same_view_group == 1)].assign(worse=gained.astype(int))
    return {"cxr_longitudinal": (longitudinal, table), "nih": (real / "cxr_longitudinal_nih", nih)}


def real_columns(predictor: Any, real: Path) -> dict[str, dict[str, Any]]:
    """AUC of the direction on each real collection, with how often the model saw any change."""
    columns = {}
    for name, (folder, pairs) in real_pairs(real).items():
        answers = [
            predictor.answer(folder / prior, folder / current)
            for prior, current in zip(pairs.ref_file, pairs.main_file, strict=True)
        ]
        said = [one.change for one in answers]
        values = np.array([direction(change) for change in said])
        columns[name] = {
            "pairs": len(pairs),
            "auc": list(auc(pairs.worse.to_numpy(), values, pairs.patient_id.to_numpy())),
            "any_change": float(np.mean([bool(change and change.items) for change in said])),
            "first": {
                "pair": f"{name}: {pairs.ref_file.iloc[0]}, {pairs.main_file.iloc[0]}",
                "truth": "worse" if pairs.worse.iloc[0] else "better",
                "answer": answers[0].answer,
            },
        }
    return columns


def curve(folder: Path) -> dict[str, float]:
    """Validation F1 of the answering stage at 25, 50 and 100% of its steps (best so far)."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    seen = [(line["step"], line["change.micro.f1"]) for line in lines if "change.micro.f1" in line]
    last = json.loads((folder / "run.json").read_text(encoding="utf-8"))["steps"]
    return {
        str(share): max((value for step, value in seen if step <= last * share / 100), default=0.0)
        for share in (25, 50, 100)
    }


def speed(predictor: Any, prepared: Prepared) -> float:
    """Answers a CPU second, 32 at a time, decoding included."""
    start, answered = time.process_time(), 0
    for _ in predictor.predict(prepared, "test", kinds=("difference",)):
        answered += 1
        if answered == SPEED_CASES:
            break
    return answered / (time.process_time() - start)


def run(job: tuple[Plan, str, int]) -> dict[str, Any]:
    """Train, answer and measure one row with one seed on one core; all that the table says of it."""
    plan, name, seed = job
    row = ROWS[name]
    torch.set_num_threads(1)
    folder = train_row(plan, name, seed)
    predictor = load(folder)
    answers, other = plan.out / f"{name}.{seed}.jsonl", plan.out / f"{name}.{seed}.b.jsonl"
    predict(predictor, plan.test, answers, conditions=("given", "swap", "identity", "blank"))
    if plan.style_b:
        predict(predictor, plan.style_b, other)
    facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    batch = facts["fingerprint"]["train"]["batch_size"]
    real = real_columns(predictor, plan.real) if plan.real else {}
    shared = REGIONS.stages if row.encoder == "regions" else ()
    return {
        "row": name,
        "seed": seed,
        "minutes": plan.minutes,
        "encoder_minutes": plan.encoder_minutes,
        "curve": curve(folder),
        "parameters": sum(weights.numel() for weights in predictor.model.parameters()),
        "supervision": sorted({kind for stage in (*shared, *row.stages) for kind in supervision(stage.name)}),
        "training_pairs_per_cpu_second": facts["steps"] * batch / (60 * plan.minutes * row.stages[-1].share),
        "answers_per_cpu_second": speed(predictor, Prepared(plan.test)),
        "real": {name: {key: value for key, value in one.items() if key != "first"} for name, one in real.items()},
        "given": metrics(answers),
        "style_b": metrics(other) if plan.style_b else {},
        "samples": samples(plan, answers, real) if seed == 0 else [],
    }


def metrics(answers: Path) -> dict[str, Any]:
    """The figures of a file of answers that the table keeps."""
    return {key: value for key, value in score(answers).files[0].metrics.items() if kept(key)}


def kept(figure: str) -> bool:
    """Whether the table keeps a figure: of the floors, change F1 alone."""
    floor = figure.startswith("floors.") and SHOWN[0] in figure and ".margin." not in figure
    return floor or (figure.startswith(KEPT_FIGURES) and ".by_finding." not in figure)


SAMPLES = 4


def samples(plan: Plan, answers: Path, real: dict[str, dict[str, Any]]) -> list[dict[str, str]]:
    """What a row answers to pairs spread over the test cohort, and to one real pair of each collection."""
    cases = Prepared(plan.test).case_records("test", ("difference",))
    chosen = [cases[int(place)] for place in np.linspace(0, len(cases) - 1, SAMPLES)]
    said = {one.case_id: one.answer for one in read_predictions(answers)[1] if one.condition == "given"}
    shown = [{"pair": one.case_id, "truth": one.answer, "answer": said[one.case_id]} for one in chosen]
    return shown + [one["first"] for one in real.values()]


def supervision(stage: str) -> Iterable[str]:
    """What a stage learns from."""
    from intervalchange.methods import method_class

    return method_class(stage).supervision


# --- the table -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shown:
    """One row, ready for the columns: the means over its seeds."""

    name: str
    runs: list[dict[str, Any]]

    def mean(self, *path: str) -> float | None:
        """Of a number inside each run, or of the first of several; None where a run has none."""
        values = []
        for run in self.runs:
            value: Any = run
            for key in path:
                value = value.get(key)
            values.append(value[0] if isinstance(value, list) else value)
        return float(np.mean(values)) if all(isinstance(value, int | float) for value in values) else None

    def number(self, *path: str, form: str = ".3f") -> str:
        """The same, in print."""
        value = self.mean(*path)
        return "" if value is None else format(value, form)

    def f1(self, part: str) -> str:
        """Change F1 with its 95% interval by patient, of `given` or `style_b`."""
        mean, low, high = (self.number(part, SHOWN[0] + end) for end in ("", ".low", ".high"))
        return f"{mean} ({low}-{high})" if mean else ""

    def rise(self) -> str:
        """Of the validation F1, marked where it is too much to be ranked."""
        rise = float(np.mean([run["curve"]["100"] - run["curve"]["50"] for run in self.runs]))
        return f"{rise:+.2f}{'' if rise < RISING else ', not ranked'}"

    def floor(self) -> str:
        """The best of the floors."""
        known = [self.mean("given", f"floors.{name}.{SHOWN[0]}") for name in BLIND]
        return f"{max((value for value in known if value is not None), default=float('nan')):.3f}"


BLIND = ("constant", "question_only", "other_patient", "blank")
"""Answers that have not looked at the pair."""
COLUMNS: dict[str, Callable[[Shown], str]] = {
    "method": lambda row: row.name,
    "rise in the last half": lambda row: row.rise(),
    "learns from": lambda row: ", ".join(row.runs[0]["supervision"]),
    "change F1 (95%)": lambda row: row.f1("given"),
    "best floor": Shown.floor,
    "style b": lambda row: row.f1("style_b"),
    "exact": lambda row: row.number("given", SHOWN[1]),
    "false change": lambda row: row.number("given", SHOWN[2]),
    "wrong direction": lambda row: row.number("given", SHOWN[3]),
    "swap": lambda row: row.number("given", "consistency.swap.rate"),
    "identity": lambda row: row.number("given", "consistency.identity.rate"),
    "BLEU-4": lambda row: row.number("given", TEXT[0]),
    "METEOR 1.5": lambda row: row.number("given", TEXT[1]),
    "ROUGE-L": lambda row: row.number("given", TEXT[2]),
    "CIDEr-D": lambda row: row.number("given", TEXT[3]),
    "F1 of the seeds": lambda row: " ".join(f"{run['given'][SHOWN[0]]:.3f}" for run in row.runs),
    "val F1 at 25, 50, 100%": lambda row: " ".join(row.number("curve", at, form=".2f") for at in ("25", "50", "100")),
    "M parameters": lambda row: f"{row.runs[0]['parameters'] / 1e6:.2f}",
    "pairs/s": lambda row: row.number("training_pairs_per_cpu_second", form=".0f"),
    "answers/s": lambda row: row.number("answers_per_cpu_second", form=".0f"),
}
"""Head of a column -> what stands in it. Those of the real collections come last."""
MAIN = (
    "method",
    "rise in the last half",
    "learns from",
    "change F1 (95%)",
    "best floor",
    "style b",
    "false change",
    "BLEU-4",
    "CIDEr-D",
)


def real_cell(row: Shown, collection: str) -> str:
    """AUC of the direction, and on how many of the pairs any change was seen."""
    auc, any_change = (row.number("real", collection, key, form=form) for key, form in AUC.items())
    return f"{auc} ({any_change})"


AUC = {"auc": ".2f", "any_change": ".0%"}


def markdown(runs: list[dict[str, Any]], main: bool = False) -> str:
    """The table for people, rows as in ROWS. main: the columns that matter most."""
    by_row = {name: [run for run in runs if run["row"] == name] for name in ROWS}
    shown = [Shown(name, own) for name, own in by_row.items() if own]
    columns = {head: cell for head, cell in COLUMNS.items() if not main or head in MAIN}
    for name in runs[0]["real"]:
        columns[f"AUC {name} (any change)"] = lambda row, name=name: real_cell(row, name)
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    lines += ["| " + " | ".join(cell(row) for cell in columns.values()) + " |" for row in shown]
    counts = sorted({len(row.runs) for row in shown})
    seeds = " to ".join(str(count) for count in counts[:: max(1, len(counts) - 1)])
    first = runs[0]
    said = (
        f"*Simulated; not a ranking on patients.* Mean of {seeds} training seed{'s' if seeds != '1' else ''}, "
        f"{first['minutes']:g} CPU minutes a method over all its stages, after {first['encoder_minutes']:g} minutes "
        "for the encoder they all start from, which has seen finding labels (question_only sees no film)."
    )
    return "\n".join([said, "", *lines])


def sample_table(runs: list[dict[str, Any]]) -> str:
    """One small table a pair."""
    first = {run["row"]: run["samples"] for run in runs if run["seed"] == 0}
    parts = []
    for answers in zip(*first.values(), strict=True):
        lines = [f"**{answers[0]['pair']}**", "", "| | answer |", "|---|---|", f"| *truth* | {answers[0]['truth']} |"]
        parts.append(
            "\n".join([*lines, *(f"| {name} | {one['answer']} |" for name, one in zip(first, answers, strict=True))])
        )
    return "\n\n".join(parts)


def into_readme(text: str, readme: Path) -> None:
    """Put the table between the two marks."""
    before, _, rest = readme.read_text(encoding="utf-8").partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    readme.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}", encoding="utf-8")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("train", "test", "out"):
        options.add_argument(f"--{name}", type=Path, required=True)
    options.add_argument("--style-b", type=Path, help="prepared cohort of style b")
    options.add_argument("--real", type=Path, help="folder that holds cxr_longitudinal and cxr_longitudinal_nih")
    options.add_argument("--rows", nargs="+", choices=tuple(ROWS), default=list(ROWS))
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--minutes", type=float, default=12.0, help="CPU minutes a method and seed, all stages")
    options.add_argument("--encoder-minutes", type=float, default=9.0)
    options.add_argument("--results", type=Path, default=Path("benchmarks/results/table.json"))
    options.add_argument("--readme", type=Path)
    chosen = options.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    plan = Plan(
        chosen.train, chosen.test, chosen.style_b, chosen.real, chosen.out, chosen.minutes, chosen.encoder_minutes
    )
    runs = known_runs(chosen.results, plan)
    there = {(run["row"], run["seed"]) for run in runs}
    jobs = [(plan, row, seed) for seed in range(chosen.seeds) for row in chosen.rows if (row, seed) not in there]
    # One core each: two runs at a time use both, and a run's budget is not shared with its neighbour.
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        if jobs:
            pool.submit(train_encoder, plan).result()
            seeds = {seed for _, row, seed in jobs if ROWS[row].encoder == "regions"}
            list(pool.map(train_regions, [(plan, seed) for seed in sorted(seeds)]))
        for done in as_completed([pool.submit(run, job) for job in jobs]):
            runs.append(done.result())
            runs.sort(key=lambda run: (list(ROWS).index(run["row"]), run["seed"]))
            chosen.results.parent.mkdir(parents=True, exist_ok=True)
            chosen.results.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")
    text = markdown(runs)
    whole = f"{text}\n\n## The same pairs, answered by each method (seed 0)\n\n{sample_table(runs)}\n"
    chosen.results.with_suffix(".md").write_text(whole, encoding="utf-8")
    if chosen.readme:
        into_readme(markdown(runs, main=True), chosen.readme)
    print(text)


def known_runs(results: Path, plan: Plan) -> list[dict[str, Any]]:
    """What --results has already. Exits where it was measured with other minutes."""
    runs = json.loads(results.read_text(encoding="utf-8")) if results.is_file() else []
    wanted = (plan.minutes, plan.encoder_minutes)
    if any((run["minutes"], run["encoder_minutes"]) != wanted for run in runs):
        raise SystemExit(f"{results} has runs of other minutes: give another --results, or their minutes.")
    return list(runs)


if __name__ == "__main__":
    main()
