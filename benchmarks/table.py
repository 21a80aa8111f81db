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

Interrupted, the same command continues: finished runs, answered cases and measured rows are left as they are.
`--rows` and `--seeds` choose. Everything goes to --results as JSON and, beside it, as Markdown: the whole table, and
what each method (seed 0) answers to the same pairs. `--readme README.md` writes the main columns between its two marks.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from ablation import pooled

from intervalchange.data.prepared import Prepared
from intervalchange.data.region_store import KEPT, weight_hash, write_region_store
from intervalchange.evaluation.predictions import read_predictions
from intervalchange.evaluation.scoring import score
from intervalchange.evaluation.statistics import auc
from intervalchange.findings import RANKED_LEVELS
from intervalchange.inference import load
from intervalchange.inference import write_predictions as predict
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
    """How its first stage gets the common encoder: `weights` (backbone_weights), `from` (--from), `none`."""

    @property
    def answerer(self) -> str:
        return self.stages[-1].name


DECODER = {"model.decoder_width": 96, "model.decoder_layers": 1}
FREE = {**PYRAMID, "model.encoder_rate": 0.1, "model.dropout": 0.0, "train.learning_rate": 1e-3}
"""Of the methods that say the answer word by word from what the encoder sees."""
REGIONS = (Stage("c2f/anatomy", 0.15), Stage("c2f/diseases", 0.35))
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
    "idcpcl": Row((Stage("idcpcl/pretrain", 0.4, FREE), Stage("idcpcl/answer", 0.6, FREE))),
    "plural": Row(
        tuple(
            Stage(f"plural/{stage}", share, FREE)
            for stage, share in (("findings", 0.25), ("impression", 0.15), ("answer", 0.6))
        )
    ),
    "ved": Row((Stage("ved/answer", 1.0, FREE),)),
    "ekaid": Row((*REGIONS, Stage("ekaid/answer", 0.5)), "from"),
    "c2f": Row((*REGIONS, Stage("c2f/align", 0.15), Stage("c2f/answer", 0.35)), "from"),
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


def budget(minutes: float, seed: int = 0) -> dict[str, Any]:
    """Overrides of a run that ends by its CPU minutes alone, validated once an epoch."""
    run = {"train.epochs": 0, "train.minutes": minutes, "train.eval_cases": 300, "train.seed": seed}
    return {**run, "train.augment": 0.5, "train.precision": "bf16"}


def train_encoder(plan: Plan) -> None:
    """The encoder that rows start from."""
    torch.set_num_threads(1)
    train("set_difference/answer", plan.train, plan.encoder, overrides={**ENCODER, **budget(plan.encoder_minutes)})


def train_row(plan: Plan, name: str, seed: int) -> Path:
    """All stages of a row with one seed; the folder of the last."""
    row, source = ROWS[name], plan.encoder if ROWS[name].encoder == "from" else None
    for stage in row.stages:
        folder = plan.out / f"{name}.{seed}.{stage.name.split('/')[1]}"
        changes = {**budget(plan.minutes * stage.share, seed), **stage.options}
        if row.encoder == "weights" and source is None:
            changes["model.backbone_weights"] = str(plan.encoder)
        if stage.name in ("c2f/align", "c2f/answer", "ekaid/answer"):
            changes["model.region_store"] = stored_regions(plan, name, seed)
        train(stage.name, plan.train, folder, sources=[source] if source else [], overrides=changes)
        source = folder
    assert source is not None
    return source


def stored_regions(plan: Plan, name: str, seed: int) -> str:
    """The store of what the row's second stage sees in the training films, made unless it is there; its name."""
    model = load(plan.out / f"{name}.{seed}.diseases").model
    write_region_store(Prepared(plan.train), model)
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
                "prior": pairs.ref_file.iloc[0],
                "current": pairs.main_file.iloc[0],
                "worse": "worse" if pairs.worse.iloc[0] else "better",
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
    """Train, answer and measure one row with one seed on one core; written to a file of its own."""
    plan, name, seed = job
    record = plan.out / f"{name}.{seed}.json"
    if record.is_file():
        return dict(json.loads(record.read_text(encoding="utf-8")))
    torch.set_num_threads(1)
    folder = train_row(plan, name, seed)
    predictor = load(folder)
    predict(predictor, plan.test, plan.out / f"{name}.{seed}.jsonl", conditions=("given", "swap", "identity", "blank"))
    if plan.style_b:
        predict(predictor, plan.style_b, plan.out / f"{name}.{seed}.b.jsonl")
    facts = [
        json.loads((plan.out / f"{name}.{seed}.{stage.name.split('/')[1]}" / "run.json").read_text(encoding="utf-8"))
        for stage in ROWS[name].stages
    ]
    batch = facts[-1]["fingerprint"]["train"]["batch_size"]
    result = {
        "row": name,
        "seed": seed,
        "curve": curve(folder),
        "parameters": sum(weights.numel() for weights in predictor.model.parameters()),
        "supervision": sorted({kind for stage in ROWS[name].stages for kind in supervision(stage.name)}),
        "training_pairs_per_cpu_second": facts[-1]["steps"] * batch / (60 * plan.minutes * ROWS[name].stages[-1].share),
        "answers_per_cpu_second": speed(predictor, Prepared(plan.test)),
        "real": real_columns(predictor, plan.real) if plan.real else {},
    }
    record.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


def supervision(stage: str) -> Iterable[str]:
    """What a stage learns from."""
    from intervalchange.methods import method_class

    return method_class(stage).supervision


# --- the table -----------------------------------------------------------------------------------------------------


def collected(plan: Plan, rows: list[str], seeds: int, found: list[dict[str, Any]]) -> dict[str, Any]:
    """Everything as one JSON object: the seeds pooled, each case once a seed."""

    def files(name: str, ending: str) -> list[Path]:
        return [plan.out / f"{name}.{seed}{ending}" for seed in range(seeds)]

    def figures(ending: str, label: str) -> dict[str, dict[str, Any]]:
        together = [pooled(f"{name}{label}", files(name, ending), plan.out) for name in rows]
        return {
            name: {key: value for key, value in one.figures.items() if kept(key)}
            for name, one in zip(rows, score(together).files, strict=True)
        }

    given = figures(".jsonl", "")
    other = figures(".b.jsonl", ".b") if plan.style_b else {}
    table = {}
    for name in rows:
        own = [one for one in found if one["row"] == name]
        f1 = [score(file, meteor=False).files[0].figures[SHOWN[0]] for file in files(name, ".jsonl")]
        rise = float(np.mean([one["curve"]["100"] - one["curve"]["50"] for one in own]))
        table[name] = {
            "seeds": own,
            "f1_of_seeds": f1,
            "given": given[name],
            "style_b": other.get(name, {}),
            "rise_in_the_last_half": rise,
            "ranked": rise < RISING,
        }
    shown = samples(plan, rows, found)
    return {"minutes": plan.minutes, "encoder_minutes": plan.encoder_minutes, "rows": table, "samples": shown}


def kept(figure: str) -> bool:
    """Whether the table keeps a figure: of the floors, change F1 alone."""
    floor = figure.startswith("floors.") and SHOWN[0] in figure and ".margin." not in figure
    return floor or figure.startswith(KEPT_FIGURES)


def mean_of(row: dict[str, Any], *path: str) -> float:
    """The mean over the seeds of a number inside each seed's record."""

    def inside(one: Any) -> float:
        for key in path:
            one = one[key]
        return float(one[0] if isinstance(one, list) else one)

    return float(np.mean([inside(one) for one in row["seeds"]]))


@dataclass(frozen=True)
class Shown:
    """One row, ready for the columns."""

    name: str
    facts: dict[str, Any]

    def number(self, figure: str) -> str:
        """A figure of the answers in the films' own style."""
        value = self.facts["given"].get(figure)
        return f"{value:.3f}" if isinstance(value, float) else ""

    def rise(self) -> str:
        """Of the validation F1, marked where it is too much to be ranked."""
        return f"{self.facts['rise_in_the_last_half']:+.2f}{'' if self.facts['ranked'] else ', not ranked'}"

    def floor(self) -> str:
        """The best of the floors."""
        figures = self.facts["given"].items()
        known = [value for key, value in figures if key.startswith(BLIND) and key.endswith(SHOWN[0])]
        return f"{max((value for value in known if isinstance(value, float)), default=float('nan')):.3f}"

    def of_seeds(self, *path: str) -> float:
        """The mean over the seeds of a number inside each seed's record."""
        return mean_of(self.facts, *path)


def interval(figures: dict[str, Any]) -> str:
    """Change F1 with its 95% interval by patient."""
    low, high = (figures[f"{SHOWN[0]}.{side}"] for side in ("low", "high"))
    return f"{figures[SHOWN[0]]:.3f} ({low:.3f}-{high:.3f})"


def of_curve(row: Shown) -> str:
    return " ".join(f"{row.of_seeds('curve', share):.2f}" for share in ("25", "50", "100"))


BLIND = tuple(f"floors.{name}." for name in ("constant", "question_only", "other_patient", "blank"))
"""Answers that have not looked at the pair."""
COLUMNS: dict[str, Callable[[Shown], str]] = {
    "method": lambda row: row.name,
    "rise in the last half": lambda row: row.rise(),
    "learns from": lambda row: ", ".join(row.facts["seeds"][0]["supervision"]),
    "change F1 (95%)": lambda row: interval(row.facts["given"]),
    "best floor": Shown.floor,
    "style b": lambda row: interval(row.facts["style_b"]) if row.facts["style_b"] else "",
    "exact": lambda row: row.number(SHOWN[1]),
    "false change": lambda row: row.number(SHOWN[2]),
    "wrong direction": lambda row: row.number(SHOWN[3]),
    "swap": lambda row: row.number("consistency.swap.rate"),
    "identity": lambda row: row.number("consistency.identity.rate"),
    "BLEU-4": lambda row: row.number(TEXT[0]),
    "METEOR 1.5": lambda row: row.number(TEXT[1]),
    "ROUGE-L": lambda row: row.number(TEXT[2]),
    "CIDEr-D": lambda row: row.number(TEXT[3]),
    "F1 of the seeds": lambda row: " ".join(f"{value:.3f}" for value in row.facts["f1_of_seeds"]),
    "val F1 at 25, 50, 100%": of_curve,
    "M parameters": lambda row: f"{row.of_seeds('parameters') / 1e6:.2f}",
    "pairs/s": lambda row: f"{row.of_seeds('training_pairs_per_cpu_second'):.0f}",
    "answers/s": lambda row: f"{row.of_seeds('answers_per_cpu_second'):.0f}",
}
"""Head of a column -> what stands in it. Those of the real collections follow `identity`."""
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
    return f"{row.of_seeds('real', collection, 'auc'):.2f} ({row.of_seeds('real', collection, 'any_change'):.0%})"


def markdown(result: dict[str, Any], main: bool = False) -> str:
    """The table for people, rows as they were given. main: the columns that matter most."""
    shown = [Shown(name, facts) for name, facts in result["rows"].items()]
    columns = {head: cell for head, cell in COLUMNS.items() if not main or head in MAIN}
    for name in shown[0].facts["seeds"][0]["real"]:
        columns[f"AUC {name} (any change)"] = lambda row, name=name: real_cell(row, name)
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    lines += ["| " + " | ".join(cell(row) for cell in columns.values()) + " |" for row in shown]
    seeds = len(shown[0].facts["seeds"])
    said = (
        f"*Simulated; not a ranking on patients.* {result['minutes']:g} CPU minutes a method over all its stages and "
        f"{seeds} training seed{'s' if seeds > 1 else ''}, after {result['encoder_minutes']:g} minutes for the encoder "
        "they all start from, which has seen finding labels (question_only sees no film)."
    )
    return "\n".join([said, "", *lines])


SAMPLES = 4


def samples(plan: Plan, rows: list[str], found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What each method (seed 0) answers to pairs spread over the test cohort, and to one real pair."""
    cases = Prepared(plan.test).case_records("test", ("difference",))
    chosen = [cases[int(place)] for place in np.linspace(0, len(cases) - 1, SAMPLES)]
    said = {
        name: {one.case_id: one.answer for one in read_predictions(plan.out / f"{name}.0.jsonl")[1]
               if one.condition == "given"}
        for name in rows
    }  # fmt: skip
    shown = [
        {"pair": one.case_id, "truth": one.answer, "answers": {name: said[name][one.case_id] for name in rows}}
        for one in chosen
    ]
    first = {one["row"]: one["real"] for one in found if one["seed"] == 0}
    for collection in next(iter(first.values())):
        facts = {name: real[collection]["first"] for name, real in first.items()}
        pair = next(iter(facts.values()))
        answers = {name: one["answer"] for name, one in facts.items()}
        shown.append(
            {"pair": f"{collection}: {pair['prior']}, {pair['current']}", "truth": pair["worse"], "answers": answers}
        )
    return shown


def sample_table(shown: list[dict[str, Any]]) -> str:
    """One small table a pair."""
    parts = []
    for one in shown:
        lines = [f"**{one['pair']}**", "", "| | answer |", "|---|---|", f"| *truth* | {one['truth']} |"]
        parts.append("\n".join([*lines, *(f"| {name} | {answer} |" for name, answer in one["answers"].items())]))
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
    jobs = [(plan, row, seed) for seed in range(chosen.seeds) for row in chosen.rows]
    # One core each: two runs at a time use both, and a run's budget is not shared with its neighbour.
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        pool.submit(train_encoder, plan).result()
        found = list(pool.map(run, jobs))
    result = collected(plan, chosen.rows, chosen.seeds, found)
    chosen.results.parent.mkdir(parents=True, exist_ok=True)
    chosen.results.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    text = markdown(result)
    whole = f"{text}\n\n## The same pairs, answered by each method (seed 0)\n\n{sample_table(result['samples'])}\n"
    chosen.results.with_suffix(".md").write_text(whole, encoding="utf-8")
    if chosen.readme:
        into_readme(markdown(result, main=True), chosen.readme)
    print(text)


if __name__ == "__main__":
    main()
