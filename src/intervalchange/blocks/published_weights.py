"""Weights of `published.py` into the encoders of `published_encoders.py`, every tensor accounted for.

A tensor that the encoder needs and the file lacks, one that the file has and nobody knows, and one of another shape are
errors that name it.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from intervalchange.blocks.published import PUBLISHED, Asked, listed, shape_of_trunk, trunk_tensors, wrong_file
from intervalchange.blocks.published_encoders import PublishedFilmEncoder
from intervalchange.data.checkpoints import to_safetensors
from intervalchange.errors import ConfigError


def file_of(asked: Asked) -> Path:
    """The weights of a published encoder: the path that is given, or fetched once from the hub where they are there."""
    if asked.path:
        return Path(asked.path)
    facts = PUBLISHED[asked.name]
    if not facts.repository:
        raise ConfigError(
            f"the weights of {asked.name} have to be fetched by hand.",
            where=facts.address,
            remedy=f"Then name the file: --model.backbone_weights {asked.name}:{facts.file}",
        )
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        return Path(hf_hub_download(facts.repository, facts.file, revision=facts.revision))
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        raise ConfigError(
            f"the weights of {asked.name} cannot be fetched.",
            where=f"https://huggingface.co/{facts.repository}",
            remedy=f"Fetch {facts.file} by hand and name it: --model.backbone_weights {asked.name}:{facts.file}",
        ) from error


def read_published(asked: Asked) -> tuple[Mapping[str, Tensor], Path]:
    """The encoder's tensors by their names inside it (torchvision's), and the file they are from."""
    path = file_of(asked)
    if not path.is_file():
        raise ConfigError(
            f"there are no weights of {asked.name} here.", where=path, remedy="Check the path after the colon."
        )
    return _read(asked, path, path.stat().st_mtime_ns), path


@functools.lru_cache(maxsize=1)
def _read(asked: Asked, path: Path, changed_at: int) -> Mapping[str, Tensor]:
    """Kept from the configuration, which reads sizes and is built several times, until the weights are loaded."""
    with tempfile.TemporaryDirectory() as folder:
        tensors = load_file(to_safetensors(path, Path(folder) / "weights.safetensors"))
    return trunk_tensors(asked.name, tensors, path)


def describe_published(asked: Asked) -> str:
    """The sizes of the encoder in a file, as JSON: kept with a run, which then loads without the file."""
    trunk, path = read_published(asked)
    return shape_of_trunk(asked.name, trunk, path).to_json()


def load_published(encoder: PublishedFilmEncoder, asked: Asked) -> None:
    """The published weights into an encoder of their shape."""
    trunk, path = read_published(asked)
    _read.cache_clear()
    ours = encoder.state_dict()
    names = {encoder.published_name(own): own for own in ours}
    unexpected = [name for name in trunk if name not in names]
    if unexpected:
        raise wrong_file(asked.name, f"it has {listed(unexpected)}, which the encoder has not", path)
    # Checkpoints from before torch 0.4.1 do not count batches, which only an average without momentum would need.
    lacking = [name for name in names if name not in trunk and not name.endswith("num_batches_tracked")]
    if lacking:
        raise wrong_file(asked.name, f"it lacks {listed(lacking)}", path)
    for name, tensor in trunk.items():
        if tensor.shape != ours[names[name]].shape:
            sizes = f"{tuple(tensor.shape)} and not {tuple(ours[names[name]].shape)}"
            raise wrong_file(asked.name, f"its {name!r} is {sizes}", path)
    with torch.no_grad():
        encoder.load_state_dict({names[name]: tensor for name, tensor in trunk.items()}, strict=False)
