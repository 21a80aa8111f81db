"""What each metric makes of answers a radiologist would judge at once: the same, the opposite, another patient's.

    python benchmarks/blind_spots.py --pairs 16389

References are drawn as published predictions are spread (`published_like`). The table is about the metrics: its
figures are of no model. METEOR 1.5 needs Java and pycocoevalcap; without them its column says so.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

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
    other = {place: circle[(number + 1) % len(circle)] for number, place in enumerate(circle)}
    common = Counter(text for text in references if text != NOTHING).most_common(1)[0][0]
    return {
        "identical": list(references),
        "order shuffled": answers(list(changes), seed + 1),
        "one finding dropped": answers([dropped(change, source) for change in changes], seed + 2),
        "every finding replaced": answers([replaced(change, source) for change in changes], seed + 3),
        "most common answer": [common] * len(references),
        "random other patient": [references[other[place]] for place in range(len(references))],
        "direction inverted": answers([change.reverse() for change in changes], seed + 4),
    }


def table(pairs: int, seed: int = 0, meteor: bool = True) -> dict[str, dict[str, float | str | None]]:
    """Answers -> metric -> figure."""
    changes = published_like(pairs, seed)
    references = answers(changes, seed)
    made = hypotheses(changes, references, seed)
    scored = [meteor_java15([(said, references)])[0] if meteor else "not run" for said in made.values()]
    found: dict[str, dict[str, float | str | None]] = {}
    for (name, said), value in zip(made.items(), scored, strict=True):
        metrics = {f"text.{key}": figure for key, figure in text_scores(said, references).items()}
        metrics |= {f"change.{key}": figure for key, figure in change_scores(said, references).items()}
        shown = {key: None if metrics[key] != metrics[key] else metrics[key] for _, key in COLUMNS if key in metrics}
        found[name] = {**shown, "text.meteor_java15": value}
    return found


def markdown(found: dict[str, dict[str, float | str | None]], pairs: int, command: str) -> str:
    """The table with its caption."""

    def cell(value: float | str | None) -> str:
        return "-" if value is None else value if isinstance(value, str) else f"{value:.3f}"

    lines = [
        f"# What metrics see: {pairs:,} answers drawn as published ones are spread",
        "",
        "| answer against reference | " + " | ".join(label for label, _ in COLUMNS) + " |",
        "|---|" + "---|" * len(COLUMNS),
        *(f"| {name} | " + " | ".join(cell(found[name][key]) for _, key in COLUMNS) + " |" for name in ORDER),
        "",
        f"`{command}`. Behaviour of metrics; no figure here is of a model. CIDEr-D by the scored references, 0 to 10.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--pairs", type=int, default=16_389)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--no-meteor", action="store_true")
    options.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    chosen = options.parse_args()
    found = table(chosen.pairs, chosen.seed, not chosen.no_meteor)
    command = f"python benchmarks/blind_spots.py --pairs {chosen.pairs} --seed {chosen.seed}"
    chosen.out.mkdir(parents=True, exist_ok=True)
    plain = {"command": command, "pairs": chosen.pairs, "figures": found}
    (chosen.out / "blind_spots.json").write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    text = markdown(found, chosen.pairs, command)
    (chosen.out / "blind_spots.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
