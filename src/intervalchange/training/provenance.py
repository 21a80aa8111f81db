"""What run.json says of a run: enough to repeat it, and to tell it from another one."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

import intervalchange
from intervalchange.config import Preset, TrainConfig
from intervalchange.data.dataset import FilmReader, PairDataset
from intervalchange.data.prepared import Prepared
from intervalchange.methods.base.method import MethodConfig
from intervalchange.training.sources import Items, Source


def facts_of(
    preset: Preset,
    config: MethodConfig,
    read: Sequence[Source],
    training: Items,
    sources: Sequence[str | Path],
) -> dict[str, Any]:
    """What run.json says of a run. Two calls with one fingerprint are the same run.

    read: the prepared folders. Of several, `data` says which, in which shares; `simulated` is of the first that is.
    """
    answers: dict[str, Counter[str]] = {}
    for part in training.parts:
        if isinstance(part, PairDataset):
            for question, answer in zip(part.questions, part.answers, strict=True):
                answers.setdefault(question, Counter())[answer] += 1
    manifests = [source.prepared.manifest for source in read]
    hashes = [manifest_hash(source.prepared) for source in read]
    shares = [source.share for source in read]
    several = len(read) > 1
    fingerprint = {
        "stage": preset.stage,
        "size": preset.size,
        "model": {name: getattr(config, name) for name in config.options()},
        "train": asdict(preset.train),
        "data_manifest": hashes if several else hashes[0],
        **({"shares": shares} if several else {}),
        "from": [str(source) for source in sources],
    }
    return {
        "name": f"{preset.stage}.{preset.size}",
        "stage": preset.stage,
        "size": preset.size,
        "fingerprint": _plain(fingerprint),
        "version": intervalchange.__version__,
        "commit": commit(),
        "split_hash": None if several else manifests[0].get("split_hash"),
        "simulated": next((manifest["simulated"] for manifest in manifests if manifest.get("simulated")), {}),
        "stored_pixels": read[0].prepared.pixels.shape[0],
        "seed": preset.train.seed,
        "hardware": hardware(),
        "data": [_source_facts(*facts) for facts in zip(read, training.parts, strict=True)],
        "training_cases": len(training),
        "training_patients": sorted(set(training.patient_ids)),
        "training_answers": {question: dict(counts.most_common()) for question, counts in answers.items()},
    }


def default_options(config: MethodConfig) -> dict[str, dict[str, Any]]:
    """What the options of a run are where it does not say."""
    model = {name: getattr(type(config), name) for name in config.options() if hasattr(type(config), name)}
    return {"model": _plain(model), "train": _plain(asdict(TrainConfig()))}


def _source_facts(source: Source, items: FilmReader) -> dict[str, Any]:
    """A prepared folder of a run: its name, what it is, and how much of it was trained on."""
    manifest = source.prepared.manifest
    return {
        "name": source.name,
        "source": manifest.get("source"),
        "share": source.share,
        "manifest": manifest_hash(source.prepared),
        "split_hash": manifest.get("split_hash"),
        "protocol": source.prepared.protocol("train"),
        "simulated": manifest.get("simulated") or {},
        "training_cases": len(items),
    }


def manifest_hash(prepared: Prepared) -> str:
    """SHA-256 of the manifest, which holds the SHA-256 of every file."""
    given = prepared.manifest.get("hash")
    return str(given) if given else hashlib.sha256((prepared.folder / "manifest.json").read_bytes()).hexdigest()


def commit() -> str:
    """The git commit of the code, with `+` where the tree is changed; empty outside a checkout."""
    where = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        call = subprocess.run(
            ["git", "-C", str(where), *arguments], capture_output=True, text=True, check=True, timeout=10
        )
        return call.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def hardware() -> dict[str, Any]:
    """Where a run was trained."""
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _plain(value: Any) -> Any:
    """As JSON would give it back."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
