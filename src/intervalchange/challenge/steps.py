"""The steps of a challenge: set it, enter models, reveal the cohort.

FOLDER/challenge.json    the commitment, the options of the cohort, the simulator    by new
FOLDER/README.md         the rules and the commands                                  by new
FOLDER/entries.csv       name, SHA-256 and time of each model                        by enter
FOLDER/revealed.json     the seed, the nonce and the hashes of the cohort            by reveal
FOLDER/cohort/           the test cohort (in .gitignore: anyone can make it)         by reveal
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from intervalchange.atomic_files import write_durably
from intervalchange.challenge.commitment import (
    Challenge,
    CohortOptions,
    Secret,
    Simulator,
    committed,
    folder_hash,
    read_challenge,
    read_secret,
    write_secret,
)
from intervalchange.challenge.readme import readme
from intervalchange.errors import ConfigError, RunError, SourceError

CHALLENGE, README, ENTRIES, REVEALED, COHORT = (
    "challenge.json", "README.md", "entries.csv", "revealed.json", "cohort",
)  # fmt: skip
COLUMNS = ("name", "sha256", "entered")
FILM_ENDINGS = (".jpg", ".png", ".dcm")


@dataclass(frozen=True)
class Entry:
    """A model that takes part."""

    name: str
    sha256: str
    entered: str
    """UTC, to the second."""


@dataclass(frozen=True)
class Reveal:
    """A revealed challenge."""

    cohort: Path
    films_differ: bool
    """The cohort made here has other pixels than the organiser's: other versions of packages."""
    versions: str
    """Which, in words."""


def secret_path(folder: Path) -> Path:
    """Where the secret lies unless said otherwise: beside the folder, so that `git add` in it cannot take it along."""
    return folder.with_name(f"{folder.name}.secret.json")


# --- new ---------------------------------------------------------------------------------------------------------


def new_challenge(
    folder: str | Path, cohort: CohortOptions | None = None, *, closes: str = "", secret: str | Path | None = None
) -> Challenge:
    """Draw a secret and publish the commitment to it.

    closes: ISO date of the last day of entries. secret: file of the secret; by default `secret_path`. Raises
    ConfigError for options that `simulate` would refuse, and RunError where there is a challenge or a secret already.
    """
    folder, cohort = Path(folder), cohort or CohortOptions()
    _check_options(cohort)
    _day(closes)
    if (folder / CHALLENGE).exists():
        raise RunError("there is a challenge already.", where=folder, remedy="Choose a new folder.")
    hidden = Path(secret) if secret is not None else secret_path(folder)
    if hidden.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(
            "the secret would lie in the folder that is published.",
            where=hidden,
            remedy="Choose a --secret outside it.",
        )
    drawn = Secret.drawn()
    challenge = committed(folder.resolve().name, cohort, closes, drawn)
    write_secret(hidden, drawn)
    folder.mkdir(parents=True, exist_ok=True)
    write_durably(folder / ".gitignore", f"/{COHORT}/\n/prepared/\n*.secret.json\n".encode())
    write_durably(folder / README, readme(challenge).encode())
    write_durably(folder / CHALLENGE, (json.dumps(asdict(challenge), indent=1) + "\n").encode())
    return challenge


def _check_options(cohort: CohortOptions) -> None:
    from intervalchange.simulation.cohort import CohortConfig

    CohortConfig(**asdict(cohort))


def _day(closes: str) -> date | None:
    if not closes:
        return None
    try:
        return date.fromisoformat(closes)
    except ValueError:
        raise ConfigError(f"{closes!r} is not a date.", remedy="Write it as 2030-12-31.") from None


def _closed(challenge: Challenge) -> bool:
    """Whether the last day of entries is over, in UTC."""
    last = _day(challenge.closes)
    return last is not None and datetime.now(UTC).date() > last


# --- enter -------------------------------------------------------------------------------------------------------


def enter_model(folder: str | Path, run: str | Path, name: str) -> Entry:
    """Enter a model: the SHA-256 of its run folder, which is what will be tested.

    A name that is entered already is checked: the same files give the same entry, at any time. Raises RunError for
    other files under it, and for a new name once the entries are closed or the seed is revealed.
    """
    folder, run = Path(folder), Path(run)
    challenge = read_challenge(folder / CHALLENGE)
    if not run.exists():
        raise SourceError("no such run.", where=run, remedy="Give the run folder, or one file of weights.")
    digest = folder_hash(run.resolve())
    entries = read_entries(folder)
    for entry in entries:
        if entry.name == name:
            if entry.sha256 == digest:
                return entry
            raise RunError(
                f"{name} was entered with other files ({entry.sha256[:12]}..., these are {digest[:12]}...).",
                where=run,
                remedy="Give the run as it was entered, or enter this one under another name.",
            )
    if (folder / REVEALED).exists() or _closed(challenge):
        why = "the seed is revealed" if (folder / REVEALED).exists() else f"entries closed on {challenge.closes}"
        raise RunError(f"{why}: no model can be entered any more.", where=folder, remedy="Wait for the next challenge.")
    entry = Entry(name, digest, datetime.now(UTC).isoformat(timespec="seconds"))
    _write_entries(folder / ENTRIES, [*entries, entry])
    return entry


def read_entries(folder: Path) -> list[Entry]:
    """The models that were entered; none where there is no file. Raises SourceError for other columns."""
    path = folder / ENTRIES
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    try:
        return [Entry(**row) for row in rows]
    except TypeError:
        raise SourceError("has other columns.", where=path, remedy=f"Its first line is {','.join(COLUMNS)}.") from None


def _write_entries(path: Path, entries: Sequence[Entry]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(asdict(entry) for entry in entries)


# --- reveal ------------------------------------------------------------------------------------------------------


def reveal_challenge(
    folder: str | Path, *, secret: str | Path | None = None, workers: int | None = None, progress: bool = True
) -> Reveal:
    """Check the commitment, simulate the cohort and, with the secret, publish it; without, use what was published.

    After an interruption, call it again. Raises RunError before the last day of entries is over, for a secret that is
    not the committed one, for another simulator, and for a cohort with other questions than the organiser's.
    """
    folder = Path(folder)
    challenge = read_challenge(folder / CHALLENGE)
    drawn = _secret_of(folder, secret)
    if not challenge.fits(drawn):
        raise RunError(
            "the seed is not the one that was committed to, or challenge.json was changed since.",
            where=folder,
            remedy="Restore challenge.json from git, and give the secret of this challenge.",
        )
    _check_date(challenge, folder)
    _check_simulator(challenge, folder)
    cohort = _simulate(challenge, drawn, folder / COHORT, workers, progress)
    hashes = {"tables": folder_hash(cohort, without=FILM_ENDINGS), "films": folder_hash(cohort, FILM_ENDINGS)}
    published = _publish(folder / REVEALED, drawn, hashes)
    if published["tables"] != hashes["tables"]:
        raise RunError(
            "the cohort has other questions than the organiser's.",
            where=cohort,
            remedy=f"Install what challenge.json names ({_versions(challenge)}), delete the cohort and try again.",
        )
    return Reveal(cohort, published["films"] != hashes["films"], _versions(challenge))


def _secret_of(folder: Path, secret: str | Path | None) -> Secret:
    """The published secret, or the file that is given; where both are there they must agree."""
    published = folder / REVEALED
    if secret is None:
        if not published.exists():
            raise SourceError(
                "the seed is not revealed yet.", where=folder, remedy="The organiser reveals it, with --secret FILE."
            )
        return read_secret(published)
    given = read_secret(Path(secret))
    if published.exists() and read_secret(published) != given:
        raise RunError("another secret was revealed.", where=published, remedy="Leave out --secret.")
    return given


def _check_date(challenge: Challenge, folder: Path) -> None:
    if challenge.closes and not _closed(challenge):
        raise RunError(
            f"entries are open to the end of {challenge.closes} (UTC).",
            where=folder,
            remedy="Reveal it after that day.",
        )


def _check_simulator(challenge: Challenge, folder: Path) -> None:
    here = Simulator.here()
    if here.source != challenge.simulator.source:
        raise RunError(
            f"the simulator of intervalchange {here.version} is not the one that was committed to.",
            where=folder,
            remedy=f"pip install intervalchange=={challenge.simulator.version}",
        )


def _simulate(challenge: Challenge, secret: Secret, out: Path, workers: int | None, progress: bool) -> Path:
    from intervalchange.simulation.cohort import simulate

    return simulate(out, seed=secret.seed, workers=workers, progress=progress, **asdict(challenge.cohort))


def _publish(path: Path, secret: Secret, hashes: dict[str, str]) -> dict[str, str]:
    """Write what is revealed, unless it is there; the hashes of the cohort that are published."""
    if path.exists():
        plain = json.loads(path.read_text(encoding="utf-8"))
        return {name: str(plain.get(name, "")) for name in hashes}
    plain = {"seed": str(secret.seed), "nonce": secret.nonce, **hashes}
    write_durably(path, (json.dumps(plain, indent=1) + "\n").encode())
    return hashes


def _versions(challenge: Challenge) -> str:
    return ", ".join(f"{name} {version}" for name, version in challenge.simulator.packages.items())
