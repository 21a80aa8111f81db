"""A challenge: what is committed to cannot be changed, and anyone makes the same cohort."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from intervalchange.challenge import commitment as committing
from intervalchange.challenge import steps
from intervalchange.challenge.commitment import (
    Challenge,
    CohortOptions,
    Secret,
    committed,
    folder_hash,
    read_challenge,
    read_secret,
    source_hash,
)
from intervalchange.challenge.steps import enter_model, new_challenge, read_entries, reveal_challenge, secret_path
from intervalchange.errors import ConfigError, RunError, SourceError
from intervalchange.policy import EVALUATION_SEED

SMALL = CohortOptions(patients=2, pixels=64)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    new_challenge(tmp_path / "spring", SMALL)
    return tmp_path / "spring"


@pytest.fixture
def no_films(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seeds that were simulated; a cohort of one table and one film, a function of the seed."""
    seeds: list[int] = []

    def simulate(out: Path, seed: int, **options: object) -> Path:
        seeds.append(seed)
        out.mkdir(exist_ok=True)
        (out / "questions.csv").write_text(f"{seed} {options['patients']}\n", encoding="utf-8")
        (out / "film.jpg").write_bytes(str(seed).encode())
        return out

    monkeypatch.setattr("intervalchange.simulation.cohort.simulate", simulate)
    return seeds


# --- the commitment ------------------------------------------------------------------------------------------------


def test_secrets_are_large_and_differ() -> None:
    drawn = [Secret.drawn() for _ in range(8)]
    assert len({secret.seed for secret in drawn}) == len({secret.nonce for secret in drawn}) == 8
    assert all(secret.seed.bit_length() == 161 and len(secret.nonce) == 64 for secret in drawn)
    assert all(secret.seed >= EVALUATION_SEED for secret in drawn), "train refuses them"


def test_the_commitment_is_over_everything() -> None:
    secret = Secret(1 << 160, "ab" * 32)
    challenge = committed("spring", SMALL, "2030-12-31", secret)
    assert challenge.fits(secret)
    others: list[tuple[Challenge, Secret]] = [
        (challenge, replace(secret, seed=secret.seed + 1)),
        (challenge, replace(secret, nonce="ac" * 32)),
        (replace(challenge, cohort=replace(SMALL, patients=3)), secret),
        (replace(challenge, cohort=replace(SMALL, style="b")), secret),
        (replace(challenge, closes=""), secret),
        (replace(challenge, name="autumn"), secret),
        (replace(challenge, simulator=replace(challenge.simulator, source="0")), secret),
        (replace(challenge, simulator=replace(challenge.simulator, version="9")), secret),
    ]
    assert not any(changed.fits(given) for changed, given in others)


def test_the_hash_is_what_the_page_says() -> None:
    """SHA-256 over JSON with sorted keys and no blanks: anyone can compute it without this package."""
    import hashlib

    secret = Secret(12345678901234567890, "00")
    challenge = committed("spring", SMALL, "", secret)
    plain = json.loads(json.dumps(committing.asdict(challenge)))
    del plain["commitment"]
    plain |= {"seed": "12345678901234567890", "nonce": "00"}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    assert challenge.commitment == hashlib.sha256(text.encode()).hexdigest()


def test_the_simulator_is_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package"
    (package / "simulation" / "layouts").mkdir(parents=True)
    for name in committing.CODE:
        if name.endswith(".py"):
            (package / name).write_text("one = 1\n", encoding="utf-8")
    inner = package / "simulation" / "layouts" / "pairs.py"
    inner.write_bytes(b"two = 2\n")
    monkeypatch.setattr(committing.resources, "files", lambda _: package)
    hashes = [source_hash.__wrapped__()]
    inner.write_bytes(b"two = 2\r\n")
    hashes.append(source_hash.__wrapped__())
    inner.write_bytes(b"two = 3\n")
    hashes.append(source_hash.__wrapped__())
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_folder_hash_sees_names_and_contents(tmp_path: Path) -> None:
    for number, (name, text) in enumerate([("a", "1"), ("b", "1"), ("a", "2")]):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / name).write_text(text, encoding="utf-8")
    assert len({folder_hash(tmp_path / str(number)) for number in range(3)}) == 3
    assert folder_hash(tmp_path / "0" / "a") == folder_hash(tmp_path / "1" / "b") != folder_hash(tmp_path / "2" / "a")


# --- new -------------------------------------------------------------------------------------------------------------


def test_what_is_published_and_what_is_not(folder: Path) -> None:
    hidden = secret_path(folder)
    assert hidden == folder.with_name("spring.secret.json") and stat.S_IMODE(hidden.stat().st_mode) == 0o600
    secret, challenge = read_secret(hidden), read_challenge(folder / "challenge.json")
    assert challenge.fits(secret) and challenge.cohort == SMALL
    for path in folder.rglob("*"):
        text = path.read_text(encoding="utf-8")
        assert str(secret.seed) not in text and secret.nonce not in text, path
    assert challenge.commitment in (folder / "README.md").read_text(encoding="utf-8")
    assert "secret.json" in (folder / ".gitignore").read_text(encoding="utf-8")


def test_what_new_refuses(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="a challenge already"):
        new_challenge(folder, SMALL)
    with pytest.raises(RunError, match="a secret already"):
        new_challenge(tmp_path / "other", SMALL, secret=secret_path(folder))
    assert not (tmp_path / "other").exists()
    with pytest.raises(ConfigError, match="folder that is published"):
        new_challenge(tmp_path / "other", SMALL, secret=tmp_path / "other" / "mine.json")
    with pytest.raises(ConfigError, match="too small"):
        new_challenge(tmp_path / "other", CohortOptions(pixels=8))
    with pytest.raises(ConfigError, match=r"is not a date.*2030-12-31"):
        new_challenge(tmp_path / "other", SMALL, closes="next week")


# --- enter -----------------------------------------------------------------------------------------------------------


def test_entering_and_checking(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "model.safetensors").write_bytes(b"weights")
    entry = enter_model(folder, run, "mine")
    assert entry.sha256 == folder_hash(run) and read_entries(folder) == [entry]
    assert enter_model(folder, run, "mine") == entry
    (run / "model.safetensors").write_bytes(b"better weights")
    with pytest.raises(RunError, match="entered with other files"):
        enter_model(folder, run, "mine")
    enter_model(folder, run, "second")
    assert [one.name for one in read_entries(folder)] == ["mine", "second"]
    with pytest.raises(SourceError, match="no such run"):
        enter_model(folder, tmp_path / "none", "third")


def test_no_entry_after_the_last_day(tmp_path: Path) -> None:
    today = datetime.now(UTC).date()
    run = tmp_path / "weights"
    run.write_bytes(b"1")
    new_challenge(tmp_path / "over", SMALL, closes=str(today - timedelta(days=2)))
    with pytest.raises(RunError, match="entries closed on"):
        enter_model(tmp_path / "over", run, "late")
    new_challenge(tmp_path / "open", SMALL, closes=str(today + timedelta(days=2)))
    assert enter_model(tmp_path / "open", run, "early").name == "early"
    with pytest.raises(RunError, match="entries are open"):
        reveal_challenge(tmp_path / "open", secret=tmp_path / "open.secret.json")
    assert not (tmp_path / "open" / "revealed.json").exists()


# --- reveal ----------------------------------------------------------------------------------------------------------


def test_anyone_makes_the_same_cohort(folder: Path, no_films: list[int], tmp_path: Path) -> None:
    run = tmp_path / "weights"
    run.write_bytes(b"1")
    entry = enter_model(folder, run, "mine")
    with pytest.raises(SourceError, match="not revealed yet"):
        reveal_challenge(folder)
    assert reveal_challenge(folder, secret=secret_path(folder)) == steps.Reveal(
        folder / "cohort", False, reveal_challenge(folder).versions
    )
    assert set(no_films) == {read_secret(secret_path(folder)).seed} == {read_secret(folder / "revealed.json").seed}
    assert enter_model(folder, run, "mine") == entry
    with pytest.raises(RunError, match="the seed is revealed"):
        enter_model(folder, run, "late")


def test_another_seed_or_other_options_are_found_out(folder: Path, no_films: list[int], tmp_path: Path) -> None:
    new_challenge(tmp_path / "other", SMALL)
    with pytest.raises(RunError, match="not the one that was committed to"):
        reveal_challenge(folder, secret=secret_path(tmp_path / "other"))
    public = folder / "challenge.json"
    plain = json.loads(public.read_text(encoding="utf-8"))
    plain["cohort"]["patients"] = 3
    public.write_text(json.dumps(plain), encoding="utf-8")
    with pytest.raises(RunError, match=r"challenge\.json was changed"):
        reveal_challenge(folder, secret=secret_path(folder))
    assert not no_films and not (folder / "revealed.json").exists()


def test_another_simulator_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committing, "source_hash", lambda: "0" * 64)
    with pytest.raises(RunError, match="pip install intervalchange=="):
        reveal_challenge(folder, secret=secret_path(folder))


def test_a_cohort_that_comes_out_otherwise(folder: Path, no_films: list[int]) -> None:
    reveal_challenge(folder, secret=secret_path(folder))
    path = folder / "revealed.json"
    published = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**published, "films": "0"}), encoding="utf-8")
    assert reveal_challenge(folder).films_differ
    path.write_text(json.dumps({**published, "tables": "0"}), encoding="utf-8")
    with pytest.raises(RunError, match=r"other questions than the organiser's.*numpy"):
        reveal_challenge(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not JSON"), ("[]", "not a JSON object"), ("{}", "no challenge"), (None, "cannot be read")],
)
def test_a_damaged_public_file(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "challenge.json").write_text(text, encoding="utf-8")
    with pytest.raises(SourceError, match=message):
        read_challenge(tmp_path / "challenge.json")


@pytest.mark.slow
def test_a_cohort_of_a_large_seed(folder: Path, tmp_path: Path) -> None:
    """The real simulator: two calls on two folders give the same bytes."""
    first = reveal_challenge(folder, secret=secret_path(folder), workers=1, progress=False)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("challenge.json", "revealed.json"):
        (copy / name).write_bytes((folder / name).read_bytes())
    second = reveal_challenge(copy, workers=1, progress=False)
    assert folder_hash(first.cohort) == folder_hash(second.cohort) and not second.films_differ
    assert json.loads((first.cohort / "SIMULATED").read_text(encoding="utf-8"))["evaluation_only"] is True
