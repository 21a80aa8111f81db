"""How many free answers a second are read, and how long template answers take to score.

    python benchmarks/free_answers_speed.py --answers ../shared/data/free_answers/open.jsonl

CPU seconds of one core, the best of ten passes. Template answers are made up (`published_like`).
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

from published_like import published_like

from intervalchange.answers import read_answer
from intervalchange.evaluation.metrics import change
from intervalchange.grammar import render

FORMS = ("json", "markdown table", "bulleted markdown", "finding by finding", "damaged template")
"""Styles that are no prose."""
PASSES = 10


def fastest(work: Callable[[], object]) -> float:
    """CPU seconds of the best of a few passes."""
    seconds = []
    for _ in range(PASSES):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def main() -> None:
    """Print the figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--answers", type=Path, required=True, help="JSON lines with `answer` and `style`")
    options.add_argument("--pairs", type=int, default=16_389)
    chosen = options.parse_args()
    rows = [json.loads(line) for line in chosen.answers.read_text(encoding="utf-8").splitlines()]
    for name, styles in (("prose", [row for row in rows if row["style"] not in FORMS]), ("all forms", rows)):
        answers = [row["answer"] for row in styles]
        seconds = fastest(lambda answers=answers: [read_answer(answer) for answer in answers])
        print(f"{name}: {len(answers) / seconds:.0f} answers a second")
    references = [render(made) for made in published_like(chosen.pairs)]
    answers = random.Random(0).sample(references, len(references))

    def score() -> None:
        change.encoded_answer.cache_clear()
        assert change.questions_of([]) is None and all(map(change.of_template, answers))
        change.tally(answers, references)

    print(f"{chosen.pairs} template answers: {fastest(score):.3f} s")


if __name__ == "__main__":
    main()
