"""A checkpoint of OFA-base (Wang et al., ICML 2022; Apache-2.0) -> the tensors of PLURAL, where the user has one.

`ofa_base.pt` is read as plain tensors in another process (`data/checkpoints.py`). The names are those of its code,
models/ofa/unify_transformer.py and unify_transformer_layer.py of OFA-Sys/OFA.

Differs: OFA's positions are left behind: they act on attention, ours are added to tokens. Both films get OFA's vector
    of an image, the text that of text. Its table of words comes along where ours has as many rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from intervalchange.blocks.encoder_weights import encoder_tensors, read_tensors
from intervalchange.errors import ConfigError

_IMAGES = "encoder.embed_images."
_DECODER = r"decoder.language_model.model.decoder."
_LAYER = r"^(encoder|decoder)\.(layers\.\d+\.)"
_RENAMED = (
    (r"^encoder\.image_proj\.", "enter."),
    (r"^encoder\.patch_layernorm_embedding\.", "decoder.film_norm."),
    (r"^encoder\.layernorm_embedding\.", "decoder.text_norm."),
    (r"^encoder\.type_embedding\.", "decoder.kinds."),
    (rf"{_LAYER}(self_attn|encoder_attn)\.out_proj\.", r"\1.\2\3.out_proj.projection."),
    (rf"{_LAYER}(self_attn|encoder_attn)\.c_attn$", r"\1.\2\3.out_proj.heads"),
    (rf"{_LAYER}(?:self_)?attn_ln\.", r"\1.\2self_attn.out_proj.norm."),
    (rf"{_LAYER}cross_attn_ln\.", r"\1.\2encoder_attn.out_proj.norm."),
    (rf"{_LAYER}fc2\.", r"\1.\2fc2.1."),
    (rf"{_LAYER}ffn_layernorm\.", r"\1.\2fc2.0."),
)
"""What has another name here. Of the rest, layers, the last norms and the decoder's words keep theirs."""
_UNCHANGED = re.compile(r"^(encoder|decoder)\.(layers\.|layer_norm\.)|^decoder\.(embed_tokens|layernorm_embedding)\.")


def our_name(theirs: str) -> str | None:
    """Our name of a tensor of OFA's transformer; None for a tensor that we do not have."""
    renamed = theirs
    for pattern, ours in _RENAMED:
        renamed = re.sub(pattern, ours, theirs)
        if renamed != theirs:
            break
    if not _UNCHANGED.match(theirs):
        return renamed if renamed != theirs else None
    side, rest = renamed.split(".", 1)
    return f"decoder.encoder.{rest}" if side == "encoder" else _DECODER + rest


def ofa_tensors(model: Any, path: str) -> dict[str, Tensor]:
    """The tensors of a checkpoint that `model`, a Plural, has as well, of images and words, under its names.

    Raises ConfigError where a layer of the model finds nothing in it that fits.
    """
    theirs = {name.removeprefix("model."): tensor for name, tensor in read_tensors(path).items()}
    ours: Mapping[str, Tensor] = model.state_dict()
    found = {name: tensor for key, tensor in theirs.items() if (name := our_name(key)) is not None}
    if "decoder.kinds.weight" in found:
        found["decoder.kinds.weight"] = found["decoder.kinds.weight"][[1, 1, 0]]
    words = _DECODER + "embed_tokens.weight"
    if words in found and found[words].shape[1:] == ours[words].shape[1:] and len(found[words]) != len(ours[words]):
        del found[words]
    if words in found:
        found["decoder.language_model.lm_head.weight"] = found[words]
    wanted = [name for name in ours if name.startswith((_DECODER + "layers.", "decoder.encoder.layers.", "enter."))]
    lacking = [name for name in wanted if name not in found or found[name].shape != ours[name].shape]
    if lacking:
        raise ConfigError(
            f"these are not weights of OFA of this size: {lacking[0]} is not in them.",
            where=path,
            remedy="Give ofa_base.pt and --size paper, or sizes as its code has them and --model.sub_norms true.",
        )
    images = {name.removeprefix(_IMAGES): tensor for name, tensor in theirs.items() if name.startswith(_IMAGES)}
    found |= {f"encoder.{name}": tensor for name, tensor in encoder_tensors(model.encoder, images, path).items()}
    return {name: tensor for name, tensor in found.items() if name in ours and ours[name].shape == tensor.shape}
