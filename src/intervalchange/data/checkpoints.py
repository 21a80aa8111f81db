"""Foreign weights (.pth, .pt, .bin, .ckpt) -> safetensors, which is all that the package itself loads.

A pickle can run code when it is opened. It is therefore opened weights-only, never otherwise, and in a process of its
own that gets nothing but the two paths.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from intervalchange.atomic_files import UNFINISHED
from intervalchange.errors import SourceError

FOREIGN = (".pth", ".pt", ".bin", ".ckpt", ".tar")
SECONDS = 600


def to_safetensors(source: str | Path, out: str | Path, sha256: str = "") -> Path:
    """Write the tensors of a foreign checkpoint to a safetensors file and return its path.

    Tensors keep their names, those of nested dicts joined by dots ("state_dict.encoder.weight"); what is not a
    tensor is left behind. sha256: refuse a file with another hash. Raises SourceError for what cannot be converted.
    """
    source, out = Path(source), Path(out)
    if not source.is_file():
        raise SourceError("no such file.", where=source, remedy="Check the path of the weights.")
    if source.suffix == ".safetensors":
        return source
    if source.suffix not in FOREIGN:
        raise SourceError("these are no weights known here.", where=source, remedy=f"Known: {', '.join(FOREIGN)}.")
    if sha256:
        with source.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != sha256.lower():
            raise SourceError(
                f"its SHA-256 is {digest}, not {sha256}.", where=source, remedy="Fetch the weights again."
            )
    script = Path(__file__).with_name("checkpoint_process.py")
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(out.name + UNFINISHED)
    try:
        command = [sys.executable, "-I", str(script), str(source.resolve()), str(unfinished.resolve())]
        subprocess.run(command, capture_output=True, timeout=SECONDS, check=True)
        unfinished.replace(out)
    except (subprocess.SubprocessError, OSError) as error:
        unfinished.unlink(missing_ok=True)
        raise SourceError(
            "the weights cannot be read as plain tensors.",
            where=source,
            remedy="They may hold Python objects; save their state_dict alone and convert that.",
        ) from error
    return out
