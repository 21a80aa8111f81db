"""`intervalchange prepare`: a data set into a prepared folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from intervalchange.cli.arguments import check_folder, named, positive
from intervalchange.data.readers import sources
from intervalchange.data.readers.source import OURS, PROTOCOLS
from intervalchange.errors import ConfigError

HELP = "read a data set once into a prepared folder, and say what was found and what is missing"
EXAMPLES = """\
  intervalchange prepare mimic_diff_vqa cohorts/sim prepared/sim --pixels 256
  intervalchange prepare pairs my_pairs.csv prepared/mine --split patient
  intervalchange prepare mimic_diff_vqa /data/physionet prepared/mimic --dry-run
  intervalchange prepare mimic_diff_vqa /data/physionet prepared/published --protocol published"""

PATHS = {"images": "films", "reports": "report texts", "questions": "question tables", "graphs": "scene graphs"}
"""Option -> what lies in the folder it names."""


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    verb.add_argument("source", choices=tuple(sources()), metavar="SOURCE", help=", ".join(sources()))
    verb.add_argument("root", type=Path, metavar="ROOT", help="folder of the data set; for pairs, the CSV")
    verb.add_argument("out", type=Path, metavar="OUT", help="prepared folder to write")
    verb.add_argument("--pixels", type=positive, default=512, help="side of the stored square films")
    verb.add_argument(
        "--split",
        default="official",
        help="official, lists (official, and no validation part is cut where its lists have none), "
        "patient (8:1:1 by patient), or a CSV of patient_id,split; rows (8:1:1 by row) with --protocol published",
    )
    verb.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        default=OURS,
        help="published: every row as released, in its order and split, as the papers have it (mimic_diff_vqa); ours: "
        "forward in time, once, a patient in one split",
    )
    for name, content in PATHS.items():
        verb.add_argument(f"--{name}", type=Path, help=f"folder of the {content}, where it is not under ROOT")
    verb.add_argument("--salt", type=Path, default=None, help="dicom only: the file of your secret for patient ids")
    verb.add_argument(
        "--option",
        action="append",
        default=[],
        type=named,
        metavar="NAME=VALUE",
        help="an option of the reader, e.g. uncertain=present, labels=published or rows=published (chexpert), "
        "version=9B (covidx), boxes=published (object_cxr), asked=all (nih), votes=1 (vindr), "
        "part=silver (chextemporal), asked=selected (temmed_bench), "
        "modalities=RF (dicom, as body_parts= and views=: headers that are let in); may repeat; docs/data says "
        "which there are",
    )
    verb.add_argument("--regions", default=None, metavar="RUN", help="also store the regions that a C2F run finds")
    verb.add_argument("--workers", type=positive, default=None)
    verb.add_argument(
        "--engine", choices=("local", "ray"), default="local", help="ray: on a Ray cluster (pip install '...[ray]')"
    )
    verb.add_argument("--dry-run", action="store_true", help="read only the tables")


def run(options: argparse.Namespace) -> None:
    """Prepare, and store regions where a run for them is named."""
    if not options.dry_run:
        check_folder(options.out)
    from intervalchange.data.prepare import prepare

    prepare(
        options.source,
        options.root,
        options.out,
        pixels=options.pixels,
        split=options.split,
        protocol=options.protocol,
        workers=options.workers,
        engine=options.engine,
        dry_run=options.dry_run,
        **_reader_options(options),
    )
    if options.regions and not options.dry_run:
        from intervalchange.data.prepared import Prepared
        from intervalchange.data.region_store import write_region_store
        from intervalchange.inference import load

        print(f"regions in {write_region_store(Prepared(options.out), load(options.regions).model)}", file=sys.stderr)


def _reader_options(options: argparse.Namespace) -> dict[str, Any]:
    """Where the parts of the data set are, and the reader's own options."""
    own: dict[str, str] = dict(options.option)
    for name in own:
        if name in vars(options):
            raise ConfigError(
                f"{name} is not an option of the reader.", remedy=f"Give it as --{name.replace('_', '-')}."
            )
    return {name: getattr(options, name) for name in (*PATHS, "salt")} | own
