"""The verbs. Each imports its work when it is called, so that `--help` is quick."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intervalchange import __version__
from intervalchange.errors import ConfigError, IntervalChangeError
from intervalchange.grammar import DIFFERENCE_QUESTION
from intervalchange.records import CONDITIONS

if TYPE_CHECKING:
    from intervalchange.inference import Predictor

NOTICE = "Research use only. Not a medical device."
LAYOUTS = (
    "mimic_diff_vqa",
    "nih",
    "chexpert",
    "rsna",
    "siim",
    "object_cxr",
    "covidx",
    "vindr",
    "ms_cxr",
    "ms_cxr_t",
    "openi",
    "dicom",
    "pairs",
)
SOURCES = (
    "mimic_diff_vqa",
    "pairs",
    "mimic_cxr",
    "imagenome",
    "nih",
    "chexpert",
    "rsna",
    "siim",
    "object_cxr",
    "covidx",
    "ms_cxr",
    "ms_cxr_t",
    "vindr",
    "openi",
    "cxr_longitudinal",
    "dicom",
    "reports",
)


def parser() -> argparse.ArgumentParser:
    """The command line, with an example for every verb."""
    root = argparse.ArgumentParser(
        prog="intervalchange",
        description="What has changed between two chest radiographs: answer, train, compare. " + NOTICE,
        epilog="Each verb has --help with examples. Exit codes: 0 done, 1 our fault, 2 the input's fault.",
    )
    root.add_argument("--version", action="version", version=f"intervalchange {__version__}")
    verbs = root.add_subparsers(dest="verb", metavar="VERB", required=True)
    for add in (_simulate, _prepare, _train, _predict, _answer, _score):
        add(verbs)
    return root


def _verb(verbs: argparse._SubParsersAction, name: str, help: str, example: str) -> argparse.ArgumentParser:
    return verbs.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog=f"examples:\n{example}\n\n{NOTICE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _simulate(verbs: argparse._SubParsersAction) -> None:
    verb = _verb(
        verbs,
        "simulate",
        "write a simulated cohort in the on-disk layout of a real data set",
        "  intervalchange simulate cohorts/sim --patients 500 --seed 0\n"
        "  intervalchange simulate cohorts/eval --patients 300 --seed 900000 --pixels 256 --splits 0:0:1",
    )
    verb.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    verb.add_argument("--patients", type=_positive, default=500)
    verb.add_argument("--seed", type=int, default=0, help="seeds from 900000 on are for evaluation only")
    verb.add_argument("--layout", choices=LAYOUTS, default="mimic_diff_vqa")
    verb.add_argument("--splits", default="8:1:1", help="shares of patients in train:val:test")
    verb.add_argument("--style", choices=("a", "b"), default="a", help="b: another film chain, never for training")
    verb.add_argument(
        "--prevalence",
        choices=("teaching", "openi"),
        default="teaching",
        help="openi: findings as often, and as often together, as in the Open-i reports",
    )
    verb.add_argument("--pixels", type=_positive, default=512, help="side of the films")
    verb.add_argument("--workers", type=_positive, default=None, help="processes; one a core by default")
    verb.set_defaults(run=_run_simulate)


def _prepare(verbs: argparse._SubParsersAction) -> None:
    verb = _verb(
        verbs,
        "prepare",
        "read a data set once into a prepared folder, and say what was found and what is missing",
        "  intervalchange prepare mimic_diff_vqa cohorts/sim prepared/sim --pixels 256\n"
        "  intervalchange prepare pairs my_pairs.csv prepared/mine --split patient\n"
        "  intervalchange prepare mimic_diff_vqa /data/physionet prepared/mimic --dry-run",
    )
    verb.add_argument("source", choices=SOURCES, metavar="SOURCE", help=", ".join(SOURCES))
    verb.add_argument("root", type=Path, metavar="ROOT", help="folder of the data set; for pairs, the CSV")
    verb.add_argument("out", type=Path, metavar="OUT", help="prepared folder to write")
    verb.add_argument("--pixels", type=_positive, default=512, help="side of the stored square films")
    verb.add_argument(
        "--split", default="official", help="official, patient (8:1:1 by patient), or a CSV of patient_id,split"
    )
    places = {"images": "films", "reports": "report texts", "questions": "question tables", "graphs": "scene graphs"}
    for name, what in places.items():
        verb.add_argument(
            f"--{name}", type=Path, default=None, help=f"folder of the {what}, where it is not under ROOT"
        )
    verb.add_argument("--salt", type=Path, default=None, help="dicom only: the file of your secret for patient ids")
    verb.add_argument(
        "--option",
        action="append",
        default=[],
        type=_named,
        metavar="NAME=VALUE",
        help="an option of the reader, e.g. uncertain=present (chexpert), version=V6 (covidx), votes=1 (vindr); "
        "may repeat; docs/data says which there are",
    )
    verb.add_argument("--regions", default=None, metavar="RUN", help="also store what a C2F run sees in every film")
    verb.add_argument("--workers", type=_positive, default=None)
    verb.add_argument(
        "--engine", choices=("local", "ray"), default="local", help="ray: on a Ray cluster (pip install '...[ray]')"
    )
    verb.add_argument("--dry-run", action="store_true", help="read only the tables")
    verb.set_defaults(run=_run_prepare)


def _train(verbs: argparse._SubParsersAction) -> None:
    verb = _verb(
        verbs,
        "train",
        "train one stage of a method into a run folder; the same command again continues",
        "  intervalchange train --list\n"
        "  intervalchange train real/answer --data prepared/sim --out runs/real --size small\n"
        "  intervalchange train real/answer --data prepared/sim --out runs/plain --model.residual false --train.seed 1",
    )
    verb.add_argument("stage", nargs="?", metavar="METHOD/STAGE")
    verb.add_argument("--list", action="store_true", help="every METHOD/STAGE with its sizes and what it needs")
    verb.add_argument("--data", type=Path, help="prepared folder")
    verb.add_argument("--out", type=Path, help="run folder")
    verb.add_argument("--size", default="small", help="tiny, small or paper, or a preset file of your own")
    verb.add_argument(
        "--from",
        dest="sources",
        action="append",
        default=[],
        metavar="RUN",
        help="start from the weights of a run; may repeat",
    )
    verb.add_argument_group("overrides of the preset", "--model.NAME VALUE and --train.NAME VALUE, as often as needed")
    verb.set_defaults(run=_run_train)


def _predict(verbs: argparse._SubParsersAction) -> None:
    from intervalchange.cli.zero_shot_options import add_zero_shot_options

    verb = _verb(
        verbs,
        "predict",
        "answer every case of a split; the same command again continues. A stage over films writes its metrics",
        "  intervalchange predict runs/real --data prepared/sim --out predictions.jsonl --controls\n"
        "  intervalchange predict demo --data prepared/mine --split all --out demo.jsonl\n"
        "  intervalchange predict runs/align --data prepared/sim --zero-shot --out zero_shot.json",
    )
    verb.add_argument("run_folder", metavar="RUN", help="run folder, hub name, or demo")
    verb.add_argument("--data", type=Path, required=True, help="prepared folder")
    verb.add_argument("--split", choices=("test", "val", "train", "all"), default="test")
    verb.add_argument("--out", type=Path, default=Path("predictions.jsonl"))
    verb.add_argument(
        "--controls", action="store_true", help="also with the films exchanged, one film twice, and blank"
    )
    verb.add_argument(
        "--all-kinds", action="store_true", help="all seven question types, not only those it was trained on"
    )
    verb.add_argument(
        "--abstain-at",
        type=float,
        default=None,
        metavar="P",
        help="mark answers surer than P as given, others as abstained",
    )
    verb.add_argument("--batch-size", type=_positive, default=32)
    add_zero_shot_options(verb)
    verb.set_defaults(run=_run_predict)


def _answer(verbs: argparse._SubParsersAction) -> None:
    verb = _verb(
        verbs,
        "answer",
        "answer one question about two radiographs (PNG, JPEG, DICOM)",
        "  intervalchange answer demo --prior 2019.png --current 2020.dcm\n"
        '  intervalchange answer demo --prior a.png --current b.png "is there pleural effusion?" --json\n'
        "  intervalchange answer runs/real --prior a.png --current b.png --report answer.html",
    )
    verb.add_argument("run_folder", metavar="RUN", help="run folder, hub name, or demo")
    verb.add_argument("question", nargs="?", default=DIFFERENCE_QUESTION)
    verb.add_argument("--prior", type=Path, default=None, help="the earlier film")
    verb.add_argument("--current", type=Path, required=True, help="the later film")
    verb.add_argument("--json", action="store_true", help="print one Prediction object")
    verb.add_argument(
        "--report", type=Path, default=None, help="write a page with films, change, probabilities and heat map"
    )
    verb.add_argument(
        "--force",
        action="store_true",
        help="read films that look like a lateral, another body part or a colour picture",
    )
    verb.set_defaults(run=_run_answer)


def _score(verbs: argparse._SubParsersAction) -> None:
    from intervalchange.cli.score_options import EXAMPLES, add_options

    verb = _verb(verbs, "score", "score answers of any model; several files side by side", EXAMPLES)
    add_options(verb)
    verb.set_defaults(run=_run_score)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not a positive number")
    return value


def _named(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not name or not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name.strip().replace("-", "_"), value


# --- the work ------------------------------------------------------------------------------------------------------


def _run_simulate(options: argparse.Namespace) -> None:
    from intervalchange.simulation.cohort import simulate

    simulate(
        options.out,
        patients=options.patients,
        seed=options.seed,
        layout=options.layout,
        pixels=options.pixels,
        splits=options.splits,
        style=options.style,
        prevalence=options.prevalence,
        workers=options.workers,
    )
    print(f"wrote {options.out}: {options.patients} simulated patients, seed {options.seed}", file=sys.stderr)


def _run_prepare(options: argparse.Namespace) -> None:
    from intervalchange.data.prepare import prepare

    prepare(
        options.source,
        options.root,
        options.out,
        pixels=options.pixels,
        split=options.split,
        **_reader_options(options),
        workers=options.workers,
        engine=options.engine,
        dry_run=options.dry_run,
    )
    if options.regions and not options.dry_run:
        from intervalchange.data.prepared import Prepared
        from intervalchange.data.region_store import write_region_store
        from intervalchange.inference import load

        print(f"regions in {write_region_store(Prepared(options.out), load(options.regions).model)}", file=sys.stderr)


def _reader_options(options: argparse.Namespace) -> dict[str, Any]:
    """What the reader is told: where things are, and its own options."""
    from intervalchange.data.readers import PATH_OPTIONS

    places = {name: getattr(options, name) for name in PATH_OPTIONS}
    own = dict(options.option)
    for name in own:
        if name in vars(options):
            raise ConfigError(f"{name} is no option of the reader.", remedy=f"Give it as --{name.replace('_', '-')}.")
    return {**places, **own}


def _run_train(options: argparse.Namespace) -> None:
    from intervalchange import training

    if options.list:
        training.print_stages()
        return
    missing = [
        name
        for name, value in (("METHOD/STAGE", options.stage), ("--data", options.data), ("--out", options.out))
        if value is None
    ]
    if missing:
        raise ConfigError(f"train needs {', '.join(missing)}.", remedy="See `intervalchange train --help`.")
    training.train(
        options.stage,
        options.data,
        options.out,
        size=options.size,
        sources=options.sources,
        overrides=options.overrides,
    )


def _run_predict(options: argparse.Namespace) -> None:
    from intervalchange.inference import load, predict_to_file

    predictor = load(options.run_folder)
    if options.zero_shot is not None:
        from intervalchange.cli.zero_shot_options import zero_shot_options
        from intervalchange.data.prepared import Prepared

        metrics = predictor.zero_shot(Prepared(options.data), options.split, zero_shot_options(options))
        _write_json(predictor, options, metrics)
        return
    if predictor.model.unit == "films":
        _write_metrics(predictor, options)
        return
    conditions = CONDITIONS if options.controls else ("given",)
    predict_to_file(
        predictor,
        options.data,
        options.out,
        split=options.split,
        conditions=conditions,
        all_kinds=options.all_kinds,
        batch_size=options.batch_size,
        abstain_at=options.abstain_at,
    )


def _write_metrics(predictor: Predictor, options: argparse.Namespace) -> None:
    """A stage that sees films and answers nothing has metrics instead of answers."""
    from intervalchange.data.prepared import Prepared

    _write_json(predictor, options, predictor.metrics(Prepared(options.data), options.split, options.batch_size))


def _write_json(predictor: Predictor, options: argparse.Namespace, metrics: dict[str, Any]) -> None:
    text = json.dumps({"stage": predictor.run["stage"], "split": options.split, **metrics}, indent=1)
    options.out.write_text(text + "\n", encoding="utf-8")
    print(text)


def _run_answer(options: argparse.Namespace) -> None:
    from intervalchange.inference import load

    answered = load(options.run_folder).answer_shown(
        options.prior, options.current, options.question, force=options.force
    )
    prediction = answered.prediction
    if options.report is not None:
        from intervalchange.report.answer import Entry, answer_page

        title = f"{options.prior.name + ' → ' if options.prior else ''}{options.current.name}"
        options.report.write_text(answer_page([Entry(title, answered)]), encoding="utf-8")
        print(f"wrote {options.report}", file=sys.stderr)
    for warning in prediction.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if options.json:
        print(json.dumps({**prediction.as_json(), "notice": NOTICE}))
        return
    print(prediction.answer or "(no answer)")
    for name, chance in sorted((prediction.confidence or {}).items(), key=lambda pair: -pair[1]):
        print(f"  {name:45s} {chance:.2f}")
    print(NOTICE, file=sys.stderr)


def _run_score(options: argparse.Namespace) -> None:
    from intervalchange.cli.score_options import chosen

    if options.risk is not None or options.coverage is not None:
        from intervalchange.evaluation.scoring.threshold import threshold_command

        threshold_command(options.files, risk=options.risk, coverage=options.coverage, json=options.json)
        return
    from intervalchange.evaluation.scoring.score import score_command

    source = None
    if options.data is not None:
        from intervalchange.data.case_films import CaseFilms

        source = CaseFilms(options.data)
    score_command(options.files, source=source, **chosen(options))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb. Returns the exit code."""
    options, rest = parser().parse_known_args(arguments)
    if rest and options.verb != "train":
        parser().error(f"unrecognized arguments: {' '.join(rest)}")
    options.overrides = rest
    try:
        options.run(options)
    except IntervalChangeError as problem:
        print(f"intervalchange {options.verb}: {problem}", file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        print("\nstopped; the same command continues", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
