"""Ids that say nothing of whom they name: hashes under a secret that only the user has."""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from intervalchange.errors import SourceError

SALT_BYTES = 32
DIGITS = 12
"""Hexadecimal digits of an id: among a million patients two share one with probability 1 in 560."""
REMEDY = "Give a file that you may write and nobody else reads with --salt."


@dataclass(frozen=True)
class Pseudonyms:
    """Gives ids under one salt."""

    salt: bytes = field(repr=False)

    @classmethod
    def stored_in(cls, path: Path | None, throwaway: bool = False) -> Pseudonyms:
        """Those of the salt in a file, which is made, with mode 0600, where it is not there.

        path: None for `~/.config/intervalchange/salt`. throwaway: use a salt of the moment rather than make the file.
        Raises SourceError where the file holds something else or cannot be made.
        """
        file = path or default_path()
        try:
            if file.is_file():
                return cls(_read(file))
            salt = secrets.token_bytes(SALT_BYTES)
            if not throwaway:
                _make(file, salt)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise SourceError(f"the salt cannot be kept here: {reason}.", where=file, remedy=REMEDY) from error
        return cls(salt)

    def of(self, prefix: str, name: bytes) -> str:
        """`prefix` and 12 hexadecimal digits of SHA-256(salt + name)."""
        return prefix + hashlib.sha256(self.salt + name).hexdigest()[:DIGITS]


def default_path() -> Path:
    """Where the salt of this user is kept."""
    settings = os.environ.get("XDG_CONFIG_HOME") or ""
    folder = Path(settings) if settings else Path.home() / ".config"
    return folder / "intervalchange" / "salt"


def _make(path: Path, salt: bytes) -> None:
    """Write the salt where nothing is yet. Raises OSError, also where another process was faster."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(salt.hex() + "\n")


def _read(path: Path) -> bytes:
    try:
        salt = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except ValueError:
        salt = b""
    if len(salt) != SALT_BYTES:
        raise SourceError(f"this is no salt: {2 * SALT_BYTES} hexadecimal digits.", where=path, remedy=REMEDY)
    return salt
