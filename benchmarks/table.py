"""Every method of the project on one simulated cohort: equal CPU time, one encoder, three seeds, one table.

    python benchmarks/table.py --train prepared/train128 --test prepared/eval128 --style-b prepared/evalb128 \\
        --real ../shared/data --out runs/table --minutes 12

Simulated; not a ranking on patients. Each method gets --minutes of one core's CPU time over all its stages, in the
shares of ROWS; question_only, which gets no films, a quarter. All methods have an encoder of the same shape (WIDTHS at
128 pixels). It is trained once for --encoder-minutes on finding labels (set_difference), and every method starts from
it.

Columns: the test cohort in the films' own style and in style b, which is never trained on; two real collections,
zero-shot: AUC of the direction of change (labelled worsened or improved; labels gained or lost), from the answer alone:
findings added less findings missing, plus levels up less levels down.

A method whose validation F1 rose by RISING or more in the last half of its answering stage is marked: not ranked.

Every number is the mean over the seeds; intervals are by patient, their ends averaged over the seeds too (the seeds
answer the same patients, so this is never narrower than the interval of the mean).

Rerun it to resume: finished runs and answered cases stay as they are. What a run measured goes into --results (JSON) as
soon as it is known, and a run that stands there is not repeated on any machine: delete its entry to repeat it.
`--rows` and `--seeds` choose. Beside --results, as Markdown: the whole table, and what each method (seed 0) answers to
the same pairs. `--readme FILE.md` writes the main columns between its two markers.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from harness.command import Command
from harness.records import Interval, Options, Result, Row, Stage, Trial
from harness.tables import table_lines
from harness.trials import Results, region_store, store_regions, train_stages, two_processes

from intervalchange.data.prepared import Prepared
from intervalchange.evaluation.answers.predictions import read_predictions
from intervalchange.evaluation.metrics.statistics import auc
from intervalchange.evaluation.scoring.score import score
from intervalchange.findings import RANKED_LEVELS
from intervalchange.inference import Predictor, load
from intervalchange.methods import method_class
from intervalchange.records import Change
from intervalchange.runs import predict_to_file
from intervalchange.training import train

WIDTHS, WIDTH, PIXELS = [16, 32, 64, 96], 48, 128
RISING = 0.02
TEXT = ("text.bleu4", "text.meteor_java15", "text.rouge_l_coco", "text.cider_d")
SHOWN = ("change.findings.micro.f1", "change.exact.accuracy", "change.false_change.rate", "change.direction_error.rate")
KEPT_METRICS = (*SHOWN, *TEXT, "change.micro.", "change.levels.", "change.omission.", "consistency.", "text.bleu")
SPEED_CASES, SAMPLES = 128, 4
README_MARKERS = ("<!-- methods table -->", "<!-- end of methods table -->")

ENCODER = {"model.widths": WIDTHS, "model.width": WIDTH, "model.pixels": PIXELS}
"""Of set_difference and the methods built on it."""
PYRAMID = {"model.backbone": "pyramid", "model.encoder_widths": WIDTHS, "model.pyramid_width": WIDTH}
"""Of the methods that take any encoder."""
CLASSIFIER = {"model.pixels": PIXELS, "model.encoder_widths": WIDTHS, "model.pyramid_width": WIDTH}
FREE = {**PYRAMID, "model.encoder_rate": 0.1, "model.dropout": 0.0, "train.learning_rate": 1e-3}
"""Of the methods that write the answer word by word from what the encoder gives them."""
REAL = {
    **FREE,
    "model.decoder_width": 96,
    "model.decoder_layers": 1,
    "model.queries": 8,
    "model.projection_width": 96,
    "model.projection_feedforward": 192,
}
WEIGHTS, FROM, REGION_STAGES, NO_ENCODER = "weights", "from", "regions", "none"
"""How the first stage of a row gets the common encoder: `backbone_weights`; --from; from the film stages of REGIONS,
whose part of the minutes counts as the row's own; not at all."""
REGIONS = Row("regions", (Stage("c2f/anatomy", 0.15), Stage("c2f/diseases", 0.35)), FROM)
"""What the methods on regions begin with: trained once per seed, for all of them."""


PLURAL = {"findings": 0.25, "impression": 0.15, "answer": 0.6}
METHODS = (
    Row("set_difference", (Stage("set_difference/answer", 1.0, ENCODER),), FROM),
    Row("ffa_cl", (Stage("ffa_cl/classify", 0.4, CLASSIFIER), Stage("ffa_cl/answer", 0.6, ENCODER)), FROM),
    Row("real", (Stage("real/answer", 1.0, REAL),), WEIGHTS),
    Row("mccformers_d", (Stage("mccformers/answer", 1.0, FREE),), WEIGHTS),
    Row("mccformers_s", (Stage("mccformers/answer", 1.0, {**FREE, "model.pairing": "S"}),), WEIGHTS),
    Row("idcpcl", (Stage("idcpcl/pretrain", 0.2, FREE), Stage("idcpcl/answer", 0.8, FREE)), WEIGHTS),
    Row("plural", tuple(Stage(f"plural/{name}", share, FREE) for name, share in PLURAL.items()), WEIGHTS),
    Row("ved", (Stage("ved/answer", 1.0, FREE),), WEIGHTS),
    Row("ekaid", (Stage("ekaid/answer", 0.5),), REGION_STAGES),
    Row("c2f", (Stage("c2f/align", 0.15), Stage("c2f/answer", 0.35)), REGION_STAGES),
    Row("question_only", (Stage("question_only/answer", 0.25),), NO_ENCODER),
)
"""Sizes are the `small` presets with the common encoder."""
C2F_PUBLISHED = {
    "model.contrast": "published",
    "model.coarse_weight": 1.0,
    "model.fine_weight": 1.0,
    "model.slots": 0,
    "model.graph_dropout": 0.5,
}
C2F_S = {**C2F_PUBLISHED, "model.pairing": "S", "model.pair_feedforward": 256, "model.pair_dropout": 0.1}
C2F_D = {**C2F_PUBLISHED, "model.pairing": "D", "model.pair_feedforward": 384, "model.pair_dropout": 0.5}
FORMS = (
    Row("c2f_s", (Stage("c2f/align", 0.15, C2F_S), Stage("c2f/answer", 0.35, C2F_S)), REGION_STAGES),
    Row("c2f_d", (Stage("c2f/align", 0.15, C2F_D), Stage("c2f/answer", 0.35, C2F_D)), REGION_STAGES),
    Row("ekaid_module", (Stage("ekaid/answer", 0.5, {"model.speech_from": "module"}),), REGION_STAGES),
)
"""Other forms of the same methods, trained where `--rows` names them: C2F as its code runs and as its figure has it,
feed-forwards in the published proportion; EKAID with the gate as it was read before it was corrected."""
ROWS = {row.name: row for row in (*METHODS, *FORMS)}


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

    def folder(self, trial: Trial, stage: Stage) -> Path:
        """Where a stage of a row is trained."""
        return self.out / f"{trial.name}.{stage.short}"

    def regions(self, seed: int) -> Path:
        """The run whose regions the methods on regions read."""
        return self.folder(Trial(REGIONS, seed), REGIONS.stages[-1])


def budget(minutes: float, seed: int = 0) -> Options:
    """Overrides of a run that ends by its CPU minutes alone, validated once per epoch."""
    run = {"train.epochs": 0, "train.minutes": minutes, "train.eval_cases": 300, "train.seed": seed}
    return {**run, "train.augment": 0.5}


def train_encoder(plan: Plan) -> None:
    """The encoder that rows start from."""
    train("set_difference/answer", plan.train, plan.encoder, overrides={**ENCODER, **budget(plan.encoder_minutes)})


def train_regions(plan: Plan, seed: int) -> None:
    """The film stages that the methods on regions share, and the store of what the last of them sees."""
    store_regions(train_trial(plan, Trial(REGIONS, seed)), plan.train)


def train_trial(plan: Plan, trial: Trial) -> Path:
    """All stages of a row with one seed; the folder of the last."""
    shared: Options = {}
    if trial.row.start == REGION_STAGES:
        shared = {"model.region_store": region_store(plan.regions(trial.seed))}

    def options(stage: Stage) -> Options:
        own = {**budget(plan.minutes * stage.share, trial.seed), **stage.options, **shared}
        if trial.row.start == WEIGHTS and stage is trial.row.stages[0]:
            own["model.backbone_weights"] = str(plan.encoder)
        return own

    source = {FROM: plan.encoder, REGION_STAGES: plan.regions(trial.seed)}.get(trial.row.start)
    return train_stages(trial.row.stages, plan.train, lambda stage: plan.folder(trial, stage), options, source)


# --- one row with one seed -----------------------------------------------------------------------------------------


def direction(change: Change | None) -> float:
    """Above 0 where an answer says worse: findings added less missing, levels up less levels down."""
    if change is None:
        return 0.0
    ranks = [(RANKED_LEVELS.get(level.current, 0), RANKED_LEVELS.get(level.prior, 0)) for level in change.levels]
    levels = sum(int(current > prior) - int(current < prior) for current, prior in ranks)
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


def real_columns(predictor: Predictor, real: Path) -> dict[str, dict[str, Any]]:
    """AUC of the direction on each real collection, with the share of pairs that any change is predicted for."""
    columns = {}
    for name, (folder, pairs) in real_pairs(real).items():
        answers = [
            predictor.answer(folder / prior, folder / current)
            for prior, current in zip(pairs.ref_file, pairs.main_file, strict=True)
        ]
        changes = [answer.change for answer in answers]
        values = np.array([direction(change) for change in changes])
        columns[name] = {
            "pairs": len(pairs),
            "auc": list(auc(pairs.worse.to_numpy(), values, pairs.patient_id.to_numpy())),
            "any_change": float(np.mean([bool(change and change.items) for change in changes])),
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
    reached = [(line["step"], line["change.micro.f1"]) for line in lines if "change.micro.f1" in line]
    last = json.loads((folder / "run.json").read_text(encoding="utf-8"))["steps"]
    return {
        str(share): max((value for step, value in reached if step <= last * share / 100), default=0.0)
        for share in (25, 50, 100)
    }


def speed(predictor: Predictor, prepared: Prepared) -> float:
    """Answers per CPU second, 32 at a time, decoding included."""
    start, answered = time.process_time(), 0
    for _ in predictor.predict(prepared, "test", kinds=("difference",)):
        answered += 1
        if answered == SPEED_CASES:
            break
    return answered / (time.process_time() - start)


def run(plan: Plan, trial: Trial) -> Result:
    """Train, answer and measure one row with one seed; all that the table says of it."""
    folder = train_trial(plan, trial)
    predictor = load(folder)
    answers, style_b = plan.out / f"{trial.name}.jsonl", plan.out / f"{trial.name}.b.jsonl"
    predict_to_file(predictor, plan.test, answers, conditions=("given", "swap", "identity", "blank"))
    if plan.style_b:
        predict_to_file(predictor, plan.style_b, style_b)
    facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    batch, stages = facts["fingerprint"]["train"]["batch_size"], trial.row.stages
    real = real_columns(predictor, plan.real) if plan.real else {}
    film_stages = REGIONS.stages if trial.row.start == REGION_STAGES else ()
    values = {
        "curve": curve(folder),
        "parameters": sum(weights.numel() for weights in predictor.model.parameters()),
        "supervision": sorted({kind for stage in (*film_stages, *stages) for kind in supervision(stage.name)}),
        "training_pairs_per_cpu_second": facts["steps"] * batch / (60 * plan.minutes * stages[-1].share),
        "answers_per_cpu_second": speed(predictor, Prepared(plan.test)),
        "real": {name: {key: value for key, value in one.items() if key != "first"} for name, one in real.items()},
        "given": metrics(answers),
        "style_b": metrics(style_b) if plan.style_b else {},
        "samples": samples(plan, answers, real) if trial.seed == 0 else [],
    }
    return Result({"row": trial.row.name, "seed": trial.seed}, values)


def metrics(answers: Path) -> dict[str, Any]:
    """The metrics of a file of answers that the table keeps."""
    return {name: value for name, value in score(answers).files[0].metrics.items() if is_kept(name)}


def is_kept(metric: str) -> bool:
    """Whether the table keeps a metric: of the floors, change F1 alone."""
    floor = metric.startswith("floors.") and SHOWN[0] in metric and ".margin." not in metric
    return floor or (metric.startswith(KEPT_METRICS) and ".by_finding." not in metric)


def samples(plan: Plan, answers: Path, real: dict[str, dict[str, Any]]) -> list[dict[str, str]]:
    """What a row answers to pairs spread over the test cohort, and to one real pair of each collection."""
    cases = Prepared(plan.test).case_records("test", ("difference",))
    chosen = [cases[int(index)] for index in np.linspace(0, len(cases) - 1, SAMPLES)]
    predicted = {one.case_id: one.answer for one in read_predictions(answers)[1] if one.condition == "given"}
    shown = [{"pair": one.case_id, "truth": one.answer, "answer": predicted[one.case_id]} for one in chosen]
    return shown + [one["first"] for one in real.values()]


def supervision(stage: str) -> Iterable[str]:
    """What a stage learns from."""
    return method_class(stage).supervision


# --- the table -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """One line of the table: the means over the seeds of a row."""

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
        known = [run[part] for run in self.runs if run[part]]
        return Interval.mean(Interval.of(one, SHOWN[0]) for one in known).text(to="-") if known else ""

    def rise(self) -> str:
        """Of the validation F1, marked where it is too much to be ranked."""
        rise = float(np.mean([run["curve"]["100"] - run["curve"]["50"] for run in self.runs]))
        return f"{rise:+.2f}{'' if rise < RISING else ', not ranked'}"

    def floor(self) -> str:
        """The best of the floors."""
        known = [self.mean("given", f"floors.{name}.{SHOWN[0]}") for name in BLIND]
        return f"{max((value for value in known if value is not None), default=float('nan')):.3f}"

    def real(self, collection: str) -> str:
        """AUC of the direction, and the share of pairs that any change is predicted for."""
        share = self.number("real", collection, "any_change", form=".0%")
        return f"{self.number('real', collection, 'auc', form='.2f')} ({share})"


BLIND = ("constant", "question_only", "other_patient", "blank")
"""Answers that do not depend on the pair."""
COLUMNS: dict[str, Callable[[Line], str]] = {
    "method": lambda line: line.name,
    "rise in the last half": lambda line: line.rise(),
    "learns from": lambda line: ", ".join(line.runs[0]["supervision"]),
    "change F1 (95%)": lambda line: line.f1("given"),
    "best floor": Line.floor,
    "style b": lambda line: line.f1("style_b"),
    "exact": lambda line: line.number("given", SHOWN[1]),
    "false change": lambda line: line.number("given", SHOWN[2]),
    "wrong direction": lambda line: line.number("given", SHOWN[3]),
    "swap": lambda line: line.number("given", "consistency.swap.rate"),
    "identity": lambda line: line.number("given", "consistency.identity.rate"),
    "BLEU-4": lambda line: line.number("given", TEXT[0]),
    "METEOR 1.5": lambda line: line.number("given", TEXT[1]),
    "ROUGE-L": lambda line: line.number("given", TEXT[2]),
    "CIDEr-D": lambda line: line.number("given", TEXT[3]),
    "F1 of the seeds": lambda line: " ".join(f"{run['given'][SHOWN[0]]:.3f}" for run in line.runs),
    "val F1 at 25, 50, 100%": lambda line: " ".join(line.number("curve", at, form=".2f") for at in ("25", "50", "100")),
    "M parameters": lambda line: f"{line.runs[0]['parameters'] / 1e6:.2f}",
    "pairs/s": lambda line: line.number("training_pairs_per_cpu_second", form=".0f"),
    "answers/s": lambda line: line.number("answers_per_cpu_second", form=".0f"),
}
"""Head of a column -> the text of its cells. Those of the real collections come last."""
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


def markdown(runs: list[dict[str, Any]], main: bool = False) -> str:
    """The table for people, rows as in ROWS. main: the columns that matter most."""
    by_row = {name: [run for run in runs if run["row"] == name] for name in ROWS}
    shown = [Line(name, own) for name, own in by_row.items() if own]
    columns = {head: cell for head, cell in COLUMNS.items() if not main or head in MAIN}
    for name in runs[0]["real"]:
        columns[f"AUC {name} (any change)"] = lambda line, name=name: line.real(name)
    lines = table_lines(list(columns), [[cell(line) for cell in columns.values()] for line in shown])
    counts = sorted({len(line.runs) for line in shown})
    seeds = " to ".join(str(count) for count in counts[:: max(1, len(counts) - 1)])
    first = runs[0]
    caption = (
        f"*Simulated; not a ranking on patients.* Mean of {seeds} training seed{'s' if seeds != '1' else ''}, "
        f"{first['minutes']:g} CPU minutes a method over all its stages, after {first['encoder_minutes']:g} minutes "
        "for the encoder they all start from, which has seen finding labels (question_only sees no film)."
    )
    return "\n".join([caption, "", *lines])


def sample_table(runs: list[dict[str, Any]]) -> str:
    """One small table per pair."""
    first = {run["row"]: run["samples"] for run in runs if run["seed"] == 0}
    parts = []
    for answers in zip(*first.values(), strict=True):
        cells = [("*truth*", answers[0]["truth"])]
        cells += [(name, one["answer"]) for name, one in zip(first, answers, strict=True)]
        parts.append("\n".join([f"**{answers[0]['pair']}**", "", *table_lines(["", "answer"], cells)]))
    return "\n\n".join(parts)


def page(runs: list[dict[str, Any]]) -> str:
    """The whole table, and the answers to the same pairs."""
    return f"{markdown(runs)}\n\n## The same pairs, answered by each method (seed 0)\n\n{sample_table(runs)}"


def into_readme(text: str, readme: Path) -> None:
    """Put the table between the two markers."""
    above, _, rest = readme.read_text(encoding="utf-8").partition(README_MARKERS[0])
    _, _, below = rest.partition(README_MARKERS[1])
    readme.write_text(f"{above}{README_MARKERS[0]}\n{text}\n{README_MARKERS[1]}{below}", encoding="utf-8")


def results_of(path: Path, plan: Plan) -> Results:
    """What is known already. Exits where it was measured with other minutes."""
    settings = {"minutes": plan.minutes, "encoder_minutes": plan.encoder_minutes}
    return Results(path, settings, "", ("row", "seed"), lambda run: (list(ROWS).index(run["row"]), run["seed"]))


def main() -> None:
    options = Command(__doc__, "train", "test", "out")
    options.add_argument("--style-b", type=Path, help="prepared cohort of style b")
    options.add_argument("--real", type=Path, help="folder that holds cxr_longitudinal and cxr_longitudinal_nih")
    options.add_argument("--rows", nargs="+", choices=tuple(ROWS), default=[row.name for row in METHODS])
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--minutes", type=float, default=12.0, help="CPU minutes per method and seed, all stages")
    options.add_argument("--encoder-minutes", type=float, default=9.0)
    options.result("--results", "table.json")
    options.add_argument("--readme", type=Path)
    chosen = options.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    plan = Plan(
        chosen.train, chosen.test, chosen.style_b, chosen.real, chosen.out, chosen.minutes, chosen.encoder_minutes
    )
    results = results_of(chosen.results, plan)
    trials = [Trial(ROWS[name], seed) for seed in range(chosen.seeds) for name in chosen.rows]
    trials = [trial for trial in trials if not results.has(trial.row.name, trial.seed)]
    with two_processes() as pool:
        if trials:
            pool.submit(train_encoder, plan).result()
            seeds = sorted({trial.seed for trial in trials if trial.row.start == REGION_STAGES})
            list(pool.map(train_regions, [plan] * len(seeds), seeds))
        for done in as_completed([pool.submit(run, plan, trial) for trial in trials]):
            results.add(done.result())
    results.write_markdown(page(results.entries))
    if chosen.readme:
        into_readme(markdown(results.entries, main=True), chosen.readme)
    print(markdown(results.entries))


if __name__ == "__main__":
    main()
