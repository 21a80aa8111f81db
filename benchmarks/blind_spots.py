"""How each metric scores answers a radiologist would judge at once: the same, the opposite, another patient's.

    python benchmarks/blind_spots.py --pairs 16389

References are distributed as published predictions are (`published_like`). The table is about the metrics, not about
a model. METEOR 1.5 needs Java and pycocoevalcap; without them its column says so.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from harness.command import RESULTS, Command, provenance, write_json
from harness.tables import table_lines
from published_like import answers, published_like

from intervalchange.evaluation.metrics.change import change_scores
from intervalchange.evaluation.metrics.meteor import meteor_java15
from intervalchange.evaluation.metrics.text import text_scores
from intervalchange.findings import FINDINGS
from intervalchange.grammar import NOTHING
from intervalchange.records import Change, LevelChange

COLUMNS = (
    ("BLEU-1", "text.bleu1"),
    ("BLEU-2", "text.bleu2"),
    ("BLEU-3", "text.bleu3"),
    ("BLEU-4", "text.bleu4"),
    ("METEOR 1.5", "text.meteor_java15"),
    ("ROUGE-L", "text.rouge_l_coco"),
    ("CIDEr-D", "text.cider_d"),
    ("change F1", "change.findings.micro.f1"),
    ("all items F1", "change.micro.f1"),
    ("macro F1", "change.findings.macro.f1"),
    ("added F1", "change.added.micro.f1"),
    ("missing F1", "change.missing.micro.f1"),
    ("level F1", "change.levels.f1"),
    ("level direction F1", "change.levels.direction.f1"),
    ("exact", "change.exact.accuracy"),
    ("direction errors", "change.direction_error.rate"),
    ("false change", "change.false_change.rate"),
    ("omission", "change.omission.rate"),
)
ORDER = (
    "identical",
    "order shuffled",
    "one finding dropped",
    "every finding replaced",
    "most common answer",
    "random other patient",
    "direction inverted",
)
"""The answers, from right to wrong as a radiologist would put them; the last four are all worthless, the very last is
dangerous."""


def replaced(change: Change, source: random.Random) -> Change:
    """Every finding exchanged for another one that the change does not name."""
    named = change.added | change.missing | {level.finding for level in change.levels}
    others = source.sample(sorted(set(FINDINGS) - named), len(change.added) + len(change.missing) + len(change.levels))
    added, others = others[: len(change.added)], others[len(change.added) :]
    missing, others = others[: len(change.missing)], others[len(change.missing) :]
    levels = [
        LevelChange(name, level.prior, level.current) for name, level in zip(others, sorted(change.levels), strict=True)
    ]
    return Change.of(added, missing, levels)


def dropped(change: Change, source: random.Random) -> Change:
    """One finding of the added and missing left out, where there is any."""
    named = sorted(change.added) + sorted(change.missing)
    if not named:
        return change
    gone = {source.choice(named)}
    return Change(change.added - gone, change.missing - gone, change.levels)


def hypotheses(changes: Sequence[Change], references: Sequence[str], seed: int = 0) -> dict[str, list[str]]:
    """Answers by what was done to the references."""
    source = random.Random(seed)
    # No case keeps its own answer: one turn of a seeded circle.
    circle = source.sample(range(len(references)), len(references))
    other = {row: circle[(number + 1) % len(circle)] for number, row in enumerate(circle)}
    common = Counter(text for text in references if text != NOTHING).most_common(1)[0][0]
    return {
        "identical": list(references),
        "order shuffled": answers(list(changes), seed + 1),
        "one finding dropped": answers([dropped(change, source) for change in changes], seed + 2),
        "every finding replaced": answers([replaced(change, source) for change in changes], seed + 3),
        "most common answer": [common] * len(references),
        "random other patient": [references[other[row]] for row in range(len(references))],
        "direction inverted": answers([change.reverse() for change in changes], seed + 4),
    }


def table(pairs: int, seed: int = 0, meteor: bool = True) -> dict[str, dict[str, float | str | None]]:
    """Answers -> metric -> value."""
    changes = published_like(pairs, seed)
    references = answers(changes, seed)
    made = hypotheses(changes, references, seed)
    by_answer: dict[str, dict[str, float | str | None]] = {}
    for name, predicted in made.items():
        metrics = {f"text.{key}": value for key, value in text_scores(predicted, references).items()}
        metrics |= {f"change.{key}": value for key, value in change_scores(predicted, references).items()}
        shown = {key: None if metrics[key] != metrics[key] else metrics[key] for _, key in COLUMNS if key in metrics}
        java = meteor_java15([(predicted, references)])[0] if meteor else "not run"
        by_answer[name] = {**shown, "text.meteor_java15": java}
    return by_answer


def markdown(metrics: dict[str, dict[str, float | str | None]], pairs: int, command: str) -> str:
    """The table with its caption."""

    def cell(value: float | str | None) -> str:
        return "-" if value is None else value if isinstance(value, str) else f"{value:.3f}"

    head = ["answer against reference", *(label for label, _ in COLUMNS)]
    lines = [
        f"# What metrics see: {pairs:,} answers drawn as published ones are spread",
        "",
        *table_lines(head, [[name, *(cell(metrics[name][key]) for _, key in COLUMNS)] for name in ORDER]),
        "",
        f"`{command}`. Behaviour of metrics; no figure here is of a model. CIDEr-D by the scored references, 0 to 10.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    options = Command(__doc__)
    options.add_argument("--pairs", type=int, default=16_389)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--no-meteor", action="store_true")
    options.add_argument("--out", type=Path, default=RESULTS)
    chosen = options.parse_args()
    metrics = table(chosen.pairs, chosen.seed, not chosen.no_meteor)
    command = f"python benchmarks/blind_spots.py --pairs {chosen.pairs} --seed {chosen.seed}"
    content = {"command": command, "pairs": chosen.pairs, "figures": metrics, "provenance": provenance()}
    write_json(chosen.out / "blind_spots.json", content)
    text = markdown(metrics, chosen.pairs, command)
    (chosen.out / "blind_spots.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
