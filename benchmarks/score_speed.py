"""How fast answers are scored: our text metrics against pycocoevalcap in the same run, and `score` on many answers.

    python benchmarks/score_speed.py --pairs 16000 --many 200000

Each figure is of a fresh process, so no cache is warm. CPU seconds count the Java programs; on a busy machine they are
the ones to compare. Both sides tokenise, and both run METEOR in the same Java program.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness.command import Command, write_result
from harness.timing import in_own_process, peak_mebibytes
from published_like import answers, published_like

from intervalchange.evaluation.answers.predictions import Provenance, write_predictions
from intervalchange.grammar import DIFFERENCE_QUESTION
from intervalchange.records import Prediction

KEPT = 0.4
"""Share of answers that equal their reference."""
PAIRS_PER_PATIENT = 4


def pairs(count: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """(answers, references)."""
    references = answers(published_like(count, seed), seed)
    predicted = answers(published_like(count, seed + 1), seed + 1)
    source = random.Random(seed)
    return [two if source.random() < KEPT else one for one, two in zip(predicted, references, strict=True)], references


def ours(count: int, meteor: bool) -> dict[str, float | str]:
    """Our text metrics."""
    from intervalchange.evaluation.metrics.meteor import meteor_java15
    from intervalchange.evaluation.metrics.text import text_scores

    predicted, references = pairs(count)
    start = spent()
    found: dict[str, float | str] = dict(text_scores(predicted, references))
    if meteor:
        found["meteor_java15"] = meteor_java15([(predicted, references)])[0]
    return found | since(start)


def theirs(count: int, meteor: bool) -> dict[str, float | str]:
    """pycocoevalcap, tokeniser included."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    predicted, references = pairs(count)
    start = spent()
    tokeniser = PTBTokenizer()
    gold, test = (
        tokeniser.tokenize({row: [{"caption": text}] for row, text in enumerate(texts)})
        for texts in (references, predicted)
    )
    bleu = Bleu(4).compute_score(gold, test, verbose=0)[0]
    found: dict[str, float | str] = {f"bleu{n + 1}": float(value) for n, value in enumerate(bleu)}
    found["rouge_l_coco"] = float(Rouge().compute_score(gold, test)[0])
    found["cider_d"] = float(Cider().compute_score(gold, test)[0])
    if meteor:
        program = Meteor()
        found["meteor_java15"] = float(program.compute_score(gold, test)[0])
        program.meteor_p.stdin.close()
        program.meteor_p.wait()
    return found | since(start)


def many(path: str) -> dict[str, float | str]:
    """The whole of `score` without METEOR on one file."""
    from intervalchange.evaluation.scoring.score import score

    start = spent()
    found = score(path, meteor=False)
    change_f1 = found.files[0].metrics["change.findings.micro.f1"]
    return {"change_f1": change_f1 if isinstance(change_f1, float) else str(change_f1)} | since(start)


def spent() -> tuple[float, float]:
    """(wall, CPU) seconds, ended child processes included."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return time.perf_counter(), sum(one.ru_utime + one.ru_stime for one in used)


def since(start: tuple[float, float]) -> dict[str, float]:
    """Seconds since, and the peak resident size of this process."""
    wall, cpu = spent()
    return {"wall_seconds": wall - start[0], "cpu_seconds": cpu - start[1], "peak_gb": peak_mebibytes() * 2**20 / 1e9}


def write_many(path: Path, count: int) -> None:
    """A predictions file of difference questions, PAIRS_PER_PATIENT per patient."""
    predicted, references = pairs(count, 7)
    training = {DIFFERENCE_QUESTION: dict.fromkeys(answers(published_like(2000, 9), 9), 1)}
    write_predictions(
        path,
        (
            Prediction(
                f"{60_000_000 + row}-difference",
                str(20_000_000 + row // PAIRS_PER_PATIENT),
                "difference",
                DIFFERENCE_QUESTION,
                one,
                reference=two,
            )
            for row, (one, two) in enumerate(zip(predicted, references, strict=True))
        ),
        Provenance(source="published-like", training_answers=training),
    )


def compared(count: int, meteor: bool) -> dict[str, Any]:
    """Both programs, how many times faster ours is, and the largest difference of a metric."""
    mine, other = (
        in_own_process(__file__, "--child", side, str(count), str(int(meteor))) for side in ("ours", "theirs")
    )
    metrics = [name for name in other if not name.endswith(("_seconds", "_gb"))]
    return {
        "ours": mine,
        "pycocoevalcap": other,
        "times_faster_wall": other["wall_seconds"] / mine["wall_seconds"],
        "times_faster_cpu": other["cpu_seconds"] / mine["cpu_seconds"],
        "largest_difference": max(abs(mine[name] - other[name]) for name in metrics),
    }


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        part, *given = sys.argv[2:]
        found = (
            many(given[0]) if part == "many" else {"ours": ours, "theirs": theirs}[part](int(given[0]), given[1] == "1")
        )
        print(json.dumps(found))
        return
    options = Command(__doc__)
    options.add_argument("--pairs", type=int, default=16_000)
    options.add_argument("--many", type=int, default=200_000)
    options.add_argument(
        "--no-meteor", action="store_true", help="leave out the comparison with METEOR (Java, minutes)"
    )
    options.result("--out", "score_speed.json")
    chosen = options.parse_args()
    found: dict[str, Any] = {
        "command": f"python benchmarks/score_speed.py --pairs {chosen.pairs} --many {chosen.many}",
        "pairs": chosen.pairs,
        "without_meteor": compared(chosen.pairs, False),
    }
    if not chosen.no_meteor:
        found["all_metrics"] = compared(chosen.pairs, True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.jsonl"
        write_many(path, chosen.many)
        found["many"] = {"predictions": chosen.many, "patients": chosen.many // PAIRS_PER_PATIENT}
        found["many"] |= in_own_process(__file__, "--child", "many", str(path))
    write_result(chosen.out, found)


if __name__ == "__main__":
    main()
