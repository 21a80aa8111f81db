"""The pairs of films of a prepared folder that other people's packages ask a model about: a folder of PNG files and a
table of questions and references.

    OUT/cases.jsonl     one pair a line: case_id, patient_id, question, reference, prior, current (absolute paths)
    OUT/films/*.png     each film once: 8-bit grey, white is dense, as prepared
    OUT/about.json      where it comes from: data, source, split, split_hash, simulated
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from intervalchange.atomic_files import write_durably
from intervalchange.data.prepared import Prepared
from intervalchange.data.terms import refuse_third_parties
from intervalchange.errors import ConfigError, SourceError
from intervalchange.evaluation.answers.json_lines import json_line, lines
from intervalchange.evaluation.metrics.change import readable_reference
from intervalchange.foreign_models.film_png import film_png
from intervalchange.foreign_models.prompts import common_prompt

CASES, FILMS, ABOUT = "cases.jsonl", "films", "about.json"


@dataclass(frozen=True, slots=True)
class FilmPair:
    """A question about two films, with its reference."""

    case_id: str
    patient_id: str
    question: str
    reference: str
    prior: str
    """Path of the PNG."""
    current: str

    @property
    def prompt(self) -> str:
        """What a model is asked, whatever the package: as `predict` asks a model of others, the prior film first."""
        return common_prompt("prose").text(self.question)


def write_film_pairs(
    data: str | Path, out: str | Path, *, split: str = "test", limit: int | None = None, own_server: bool = False
) -> list[FilmPair]:
    """Write the difference questions of a split, with two films and a reference that can be read, to a folder.

    limit: the first so many. own_server: the model that will see the films runs on a server of your own. Films that
    are in the folder already are left. Raises ConfigError for a source whose terms forbid third parties, without
    `own_server`, and for a folder with films of other data; SourceError where the split has no such question.
    """
    prepared, out = Prepared(data), Path(out)
    if not own_server:
        refuse_third_parties(
            prepared, prepared.folder, "Where the model runs on a server of your own, say own_server=True."
        )
    rows = [row for row in prepared.case_rows(split, ["difference"], answered=True) if _has_both(prepared, row)]
    table = prepared.cases.iloc[[row for row in rows if readable_reference(prepared.cases["answer"].iloc[row])][:limit]]
    if not len(table):
        raise SourceError(
            f"the split `{split}` has no pair of films with a reference that tells of change.",
            where=prepared.folder,
            remedy="Choose another --split, or prepare a source with difference questions.",
        )
    where_from = prepared.provenance("", split)
    about = {name: getattr(where_from, name) for name in ("data", "source", "split_hash", "split", "simulated")}
    _refuse_other_data(out, about["data"])
    (out / FILMS).mkdir(parents=True, exist_ok=True)
    write_durably(out / ABOUT, json.dumps(about, indent=1).encode())
    written = _write_films(prepared, out / FILMS, sorted({*table["prior"], *table["current"]}))
    pairs = [
        FilmPair(row.case_id, row.patient_id, row.question, row.answer, written[row.prior], written[row.current])
        for row in table.itertuples(index=False)
    ]
    write_durably(out / CASES, "".join(json.dumps(asdict(pair)) + "\n" for pair in pairs).encode())
    return pairs


def read_film_pairs(folder: str | Path) -> list[FilmPair]:
    """The pairs of a folder that `write_film_pairs` wrote. Raises SourceError where it is none."""
    path = Path(folder) / CASES
    if not path.is_file():
        raise SourceError(
            "this is no folder of film pairs.", where=folder, remedy="Write one: write_film_pairs(PREPARED, FOLDER)."
        )
    try:
        return [FilmPair(**json_line(line, f"{path}, line {number}")) for number, line in lines(path)]
    except TypeError as error:
        raise SourceError(f"a line has other fields ({error}).", where=path, remedy="Write the folder again.") from None


def _has_both(prepared: Prepared, row: int) -> bool:
    return bool(prepared.cases["prior"].iloc[row] >= 0)


def _refuse_other_data(out: Path, data: str) -> None:
    """Films are named by their row, so those of other data would pass for these."""
    path = out / ABOUT
    known = json.loads(path.read_text(encoding="utf-8")).get("data") if path.is_file() else None
    if (out / FILMS).is_dir() and known != data:
        raise ConfigError("the folder has films of other data.", where=out, remedy="Choose another, or remove it.")


def _write_films(prepared: Prepared, folder: Path, studies: Sequence[int]) -> dict[int, str]:
    """Row of the studies table -> path of its PNG."""
    paths = {study: (folder / f"{study:06d}.png").resolve() for study in map(int, studies)}
    rows = prepared.studies["row"].to_numpy()
    for study, path in paths.items():
        if not path.is_file():
            write_durably(path, film_png(prepared.pixels.read(rows[[study]])[0]))
    return {study: str(path) for study, path in paths.items()}
