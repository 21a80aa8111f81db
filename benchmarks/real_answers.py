"""What the model answers on real films: every consecutive pair, and each DICOM paired with itself.

    python benchmarks/real_answers.py demo --real ../shared/data

Not a score (most of these pairs have no label): whether every answer is valid, how many different ones there are, how
often "nothing has changed", and how fast.
"""

from __future__ import annotations

import time
from collections import Counter

import pandas as pd
from harness.command import Command, write_result
from rich.console import Console
from rich.progress import track

import intervalchange as ic
from intervalchange import grammar


def main() -> None:
    options = Command(__doc__, "real")
    options.add_argument("run")
    options.result("--out", "real_answers.json")
    chosen = options.parse_args()
    model = ic.load(chosen.run)
    folder = chosen.real / "cxr_longitudinal"
    pairs = pd.read_csv(folder / "pairs.csv")
    pairs = pairs[pairs.consecutive == 1]
    started = time.perf_counter()
    answers = [
        model.answer(folder / prior, folder / current).answer
        for prior, current in track(
            list(zip(pairs.ref_file, pairs.main_file, strict=True)), "answering", console=Console(stderr=True)
        )
    ]
    seconds = time.perf_counter() - started
    readings = [grammar.parse(answer) for answer in answers]
    counts = Counter(answers)
    films = sorted((chosen.real / "dicom").glob("*.dcm"))
    with_itself = {film.name: model.answer(film, film).answer for film in films}
    result = {
        "pairs": len(answers),
        "unread": sum(bool(reading.unread) for reading in readings),
        "distinct_answers": len(counts),
        "nothing_has_changed": sum(reading.nothing for reading in readings) / len(answers),
        "commonest": [[answer, count / len(answers)] for answer, count in counts.most_common(3)],
        "pairs_per_second_from_files": len(answers) / seconds,
        "dicom_with_itself": with_itself,
    }
    write_result(chosen.out, result)


if __name__ == "__main__":
    main()
