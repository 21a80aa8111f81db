"""The commitment: a hash that fixes a secret seed, the options of the cohort and the simulator.

    commitment = SHA-256(canonical JSON of {cohort, format, name, nonce, seed, simulator, ...})

The seed has 160 random bits and the nonce 256, so neither can be found by trying. The cohort is a function of the seed,
the options and the simulator's code, and all three stand under the hash: none can be chosen anew once it is published.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import intervalchange
from intervalchange.errors import RunError, SourceError

FORMAT = 1
SEED_BITS, NONCE_BYTES = 160, 32
PACKAGES = ("numpy", "scipy", "numba", "pillow")
"""Whose versions may move a pixel."""
CODE = ("simulation", "findings.py", "grammar.py", "records.py", "policy.py")
"""Files of the package that decide what a cohort is."""


@dataclass(frozen=True)
class CohortOptions:
    """The options of `simulate` that a challenge fixes."""

    patients: int = 300
    pixels: int = 512
    style: str = "a"
    prevalence: str = "teaching"
    layout: str = "mimic_diff_vqa"
    splits: str = "0:0:1"
    release: str = "1.0.1"
    quirks: bool = True


@dataclass(frozen=True)
class Simulator:
    """The code that makes the cohort."""

    version: str
    source: str
    """SHA-256 of its files."""
    packages: Mapping[str, str]

    @classmethod
    def here(cls) -> Simulator:
        """The installed one."""
        return cls(intervalchange.__version__, source_hash(), {name: metadata.version(name) for name in PACKAGES})


@dataclass(frozen=True)
class Secret:
    """What the organiser keeps until the entries are closed."""

    seed: int
    nonce: str
    """Hexadecimal."""

    @classmethod
    def drawn(cls) -> Secret:
        """A new one, from the system's source of randomness. Its seed is one of evaluation: `train` refuses it."""
        return cls(1 << SEED_BITS | secrets.randbits(SEED_BITS), secrets.token_hex(NONCE_BYTES))


@dataclass(frozen=True)
class Challenge:
    """What is published when a challenge is set."""

    name: str
    cohort: CohortOptions
    simulator: Simulator
    commitment: str
    closes: str = ""
    """ISO date after which no entry counts and from which the seed may be revealed; empty where none is set."""
    format: int = FORMAT

    def fits(self, secret: Secret) -> bool:
        """Whether the secret is the one that was committed to, for these very options and this simulator."""
        return secrets.compare_digest(self.commitment, commitment(self, secret))


def committed(name: str, cohort: CohortOptions, closes: str, secret: Secret) -> Challenge:
    """The challenge with its commitment."""
    bare = Challenge(name, cohort, Simulator.here(), "", closes)
    return Challenge(name, cohort, bare.simulator, commitment(bare, secret), closes)


def commitment(challenge: Challenge, secret: Secret) -> str:
    """SHA-256, in hexadecimal, over everything that the challenge publishes and the secret."""
    plain = {**asdict(challenge), "seed": str(secret.seed), "nonce": secret.nonce}
    del plain["commitment"]
    return hashlib.sha256(_canonical(plain)).hexdigest()


def _canonical(plain: Mapping[str, Any]) -> bytes:
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


# --- files -------------------------------------------------------------------------------------------------------


def read_challenge(path: Path) -> Challenge:
    """The public file. Raises SourceError where it is none, RunError where a newer version wrote it."""
    plain = _document(path, "Run `intervalchange challenge new`, or clone the repository of the challenge.")
    try:
        if plain["format"] != FORMAT:
            raise RunError(
                f"this challenge has the format {plain['format']}.", where=path, remedy="Upgrade intervalchange."
            )
        cohort, simulator = CohortOptions(**plain["cohort"]), Simulator(**plain["simulator"])
        return Challenge(**{**plain, "cohort": cohort, "simulator": simulator})
    except (KeyError, TypeError) as error:
        raise SourceError(f"this is no challenge ({error!r}).", where=path, remedy="Restore it from git.") from None


def read_secret(path: Path) -> Secret:
    """The secret, or what a reveal published of it. Raises SourceError where the file is something else."""
    plain = _document(path, "Give the file that `intervalchange challenge new` wrote, with --secret.")
    try:
        return Secret(int(plain["seed"]), str(plain["nonce"]))
    except (KeyError, TypeError, ValueError):
        raise SourceError("holds no seed and nonce.", where=path, remedy="Give the secret file.") from None


def write_secret(path: Path, secret: Secret) -> None:
    """Write it readable by its owner alone (mode 600). An existing file is never overwritten."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise RunError(
            "there is a secret already.", where=path, remedy="Choose another --secret, or keep that challenge."
        ) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"seed": str(secret.seed), "nonce": secret.nonce}, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())


def _document(path: Path, remedy: str) -> dict[str, Any]:
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError(f"cannot be read ({error.strerror}).", where=path, remedy=remedy) from None
    except ValueError:
        raise SourceError("is not JSON.", where=path, remedy=remedy) from None
    if not isinstance(plain, dict):
        raise SourceError("is not a JSON object.", where=path, remedy=remedy)
    return plain


# --- hashes ------------------------------------------------------------------------------------------------------


@cache
def source_hash() -> str:
    """SHA-256 over the names and contents of the files of `CODE`, line ends aside."""
    package = resources.files("intervalchange")
    total = hashlib.sha256()
    for name in CODE:
        for path, file in _python_files(package / name, name):
            total.update(f"{path}\0".encode() + file.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return total.hexdigest()


def _python_files(entry: Traversable, name: str) -> list[tuple[str, Traversable]]:
    if entry.is_file():
        return [(name, entry)] if name.endswith(".py") else []
    inside = sorted(entry.iterdir(), key=lambda child: child.name)
    return [found for child in inside for found in _python_files(child, f"{name}/{child.name}")]


def folder_hash(folder: Path, endings: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> str:
    """SHA-256 over the relative paths and contents of the files below a folder, or of one file.

    endings: those files only; without: none of those.
    """
    total = hashlib.sha256()
    files = [folder] if folder.is_file() else sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        if (endings and not path.name.endswith(endings)) or (without and path.name.endswith(without)):
            continue
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        name = path.relative_to(folder).as_posix() if path != folder else ""
        total.update(f"{name}\0{digest}\0".encode())
    return total.hexdigest()
