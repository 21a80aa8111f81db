"""Task files of lm-eval and lmms-eval for a folder of film pairs.

    python -m intervalchange.plugins.task_files PREPARED OUT [--split test] [--limit 200] [--own-server]
    lm_eval --include_path OUT/lm_eval --tasks interval_change --model hf-multimodal ...
    lmms-eval --include_path OUT/lmms_eval --tasks interval_change --model qwen2_5_vl ...

It also writes OUT/IntervalChange.tsv, the table of VLMEvalKit.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from intervalchange import __version__
from intervalchange.errors import IntervalChangeError
from intervalchange.plugins.film_pairs import CASES, FilmPair, write_film_pairs
from intervalchange.plugins.scoring import HEADLINE

TASK = "interval_change"
TSV = "IntervalChange.tsv"
HARNESS = "intervalchange.plugins.harness"
FEWER_IS_BETTER = ("direction_error.rate", "false_change.rate", "hedge.rate", "abstention.rate")
MOST_TOKENS = 512


class _Function(str):
    """The dotted name of a function, as both harnesses write it in YAML."""


def _write_function(dumper: yaml.SafeDumper, name: _Function) -> yaml.Node:
    return dumper.represent_scalar("!function", str(name))


class _Dumper(yaml.SafeDumper):
    """Knows `!function`."""


_Dumper.add_representer(_Function, _write_function)


def write_task_files(
    data: str | Path, out: str | Path, *, split: str = "test", limit: int | None = None, own_server: bool = False
) -> list[FilmPair]:
    """Write the pairs of a prepared folder and the task files over them; arguments as of `write_film_pairs`."""
    out = Path(out).resolve()
    pairs = write_film_pairs(data, out, split=split, limit=limit, own_server=own_server)
    for package, own in (("lm_eval", _of_lm_eval()), ("lmms_eval", _of_lmms_eval())):
        (out / package).mkdir(exist_ok=True)
        text = yaml.dump({**_common(out), **own}, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
        (out / package / f"{TASK}.yaml").write_text(text, encoding="utf-8")
    _write_tsv(out / TSV, pairs)
    return pairs


def _function(name: str) -> _Function:
    return _Function(f"{HARNESS}.{name}")


def _common(out: Path) -> dict[str, Any]:
    return {
        "task": TASK,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(out / CASES)}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_target": "reference",
        "process_results": _function("process_results"),
        "metric_list": [
            {
                "metric": name,
                "aggregation": _function(name.replace(".", "_")),
                "higher_is_better": not name.endswith(FEWER_IS_BETTER),
            }
            for name in HEADLINE
        ],
    }


def _of_lm_eval() -> dict[str, Any]:
    return {
        "doc_to_image": _function("films"),
        "doc_to_text": _function("prompt_with_films"),
        "generation_kwargs": {"until": [], "max_gen_toks": MOST_TOKENS, "temperature": 0.0, "do_sample": False},
        "metadata": {"version": __version__},
    }


def _of_lmms_eval() -> dict[str, Any]:
    return {
        "doc_to_visual": _function("films"),
        "doc_to_text": _function("prompt"),
        "generation_kwargs": {"max_new_tokens": MOST_TOKENS, "temperature": 0, "do_sample": False},
        "lmms_eval_specific_kwargs": {"default": {"pre_prompt": "", "post_prompt": ""}},
        "metadata": [{"version": __version__}],
    }


def _write_tsv(path: Path, pairs: Sequence[FilmPair]) -> None:
    """The columns of VLMEvalKit; `image_path` is the text of a list."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, delimiter="\t")
        table.writerow(["index", "case_id", "patient_id", "asked", "question", "answer", "image_path"])
        for index, pair in enumerate(pairs):
            films = str([pair.prior, pair.current])
            table.writerow([index, pair.case_id, pair.patient_id, pair.question, pair.prompt, pair.reference, films])


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m intervalchange.plugins.task_files", description=__doc__)
    parser.add_argument("data", type=Path, metavar="PREPARED")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--split", default="test")
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--own-server", action="store_true", help="the model runs on a server of your own")
    options = parser.parse_args(arguments)
    try:
        pairs = write_task_files(
            options.data, options.out, split=options.split, limit=options.limit, own_server=options.own_server
        )
    except IntervalChangeError as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    print(f"wrote {options.out}: {len(pairs)} pairs", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
