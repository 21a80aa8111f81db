"""CM-CGNS, second stage: patches of the films are hidden and reconstructed with the help of the report.

The terms of the first stage (`align.py`) stay, and a fourth is added. Half of the patches lose their features; every
patch attends to the report; from both a decoder reconstructs the film.

Differs: whole patches are hidden, all of their channels (published, for ResNet: channels, at all patches), and what is
    left is not scaled. The query of a hidden patch is a learned vector and its position, so that nothing of its
    content reaches the decoder through the words (published: its hidden features are the query).
Differs: the pixels of the hidden patches count (`target: all` as published), against the standardised film.
Differs: the decoder ends in a convolution, or tanh over +-4 deviations (published: ReLU, then tanh: nothing darker than
    mid-grey); one kind of decoder, whose transformer layers have weights of their own and attend to the report.
Differs: which patches are hidden depends on film and step alone, on any process. In use nothing is hidden; validation
    hides the same patches of a film every time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from intervalchange.blocks.encoders import sincos_2d
from intervalchange.blocks.processes import average_over_processes
from intervalchange.data.answer_words import case_uniforms
from intervalchange.errors import ConfigError
from intervalchange.losses.reconstruction import bounded, film_errors, hidden_patches, reconstruction_error
from intervalchange.methods.cm_cgns.align import CmCgnsAlign
from intervalchange.methods.cm_cgns.film_side import FilmEncoding
from intervalchange.methods.cm_cgns.image_decoder import ImageDecoder
from intervalchange.methods.cm_cgns.options import CmCgnsConfig
from intervalchange.methods.cm_cgns.report_side import ReportEncoding
from intervalchange.methods.cm_cgns.validation import FilmOutputs, retrieval_outputs

SPAN = 4.0
"""Deviations of a standardised film that `output: tanh` can reach."""
SEED_OF_HIDING = "hidden place"
"""Part of the seed: with other words an old run would not repeat."""


class CmCgnsReconstructConfig(CmCgnsConfig):
    """What the second stage adds."""

    model_type = "cm_cgns_reconstruct"
    renamed: ClassVar[Mapping[str, str]] = MappingProxyType(
        {f"paint_{name}": f"decoder_{name}" for name in ("width", "layers", "heads")}
    )

    reconstruction_weight: float = 10.0
    hidden: float = 0.5
    """Share of the patches that are hidden."""
    target: Literal["masked", "all"] = "masked"
    """Whose pixels count."""
    output: Literal["linear", "tanh"] = "linear"
    decoder_width: int = 128
    """Channels of the decoder's first convolution; each doubling of the side halves them."""
    decoder_layers: int = 0
    """Transformer layers before the convolutions."""
    decoder_heads: int = 4

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if not 0 < self.hidden < 1:
            raise ConfigError(f"model option 'hidden' is {self.hidden}.", remedy="It is a share: between 0 and 1.")
        if not self.reconstruction_weight:
            raise ConfigError("nothing is reconstructed.", remedy="Train cm_cgns/align alone, or give it a weight.")

    def weights(self) -> dict[str, float]:
        return super().weights() | {"reconstruction": float(self.reconstruction_weight)}


@dataclass(frozen=True)
class ReconstructionOutputs(FilmOutputs):
    """One film of validation, and the reconstruction of its hidden patches."""

    error: float
    """Mean absolute error over them, in deviations of the film."""
    plain: float
    """The same for the film's mean grey."""


class CmCgnsReconstruct(CmCgnsAlign):
    """See the module's docstring."""

    config_class = CmCgnsReconstructConfig
    config: CmCgnsReconstructConfig
    name: ClassVar[str] = "cm_cgns/reconstruct"
    follows: ClassVar[tuple[str, ...]] = ("cm_cgns/align",)
    always_attend_to_sentences: ClassVar[bool] = True
    renamed_weights: ClassVar[Mapping[str, str]] = MappingProxyType(
        {**CmCgnsAlign.renamed_weights, r"^painter\.": "image_decoder.", r"^hidden_place$": "hidden_patch"}
    )

    def _build(self) -> None:
        config = self.config
        self.hidden_patch = nn.Parameter(torch.empty(config.width))
        sizes = {"layers": config.decoder_layers, "heads": config.decoder_heads}
        self.image_decoder = ImageDecoder(config.width, config.decoder_width, self.stride, **sizes)

    def draw_weights(self, init: Any) -> None:
        super().draw_weights(init)
        init.normal_(self.hidden_patch, std=0.02)

    def _reconstruction_term(self, film: FilmEncoding, report: ReportEncoding, batch: Mapping[str, Any]) -> Tensor:
        hidden = self.hidden_at(film, batch["case_id"], self._step)
        reconstruction = self.reconstruct(film, report, batch["current"].shape[-2:], hidden)
        total = average_over_processes(torch.tensor(float(len(hidden)), device=reconstruction.device))
        counted = grid_of(hidden) if self.config.target == "masked" else None
        return reconstruction_error(reconstruction, batch["current"], counted, total)

    def hidden_at(self, film: FilmEncoding, case_ids: Sequence[str], step: int) -> Tensor:
        """(b, n) bool: which patches of each film are hidden at a step."""
        uniforms = case_uniforms(case_ids, step, SEED_OF_HIDING, film.patches.shape[1])
        return hidden_patches(torch.from_numpy(uniforms).to(film.patches.device), self.config.hidden)

    def reconstruct(
        self, film: FilmEncoding, report: ReportEncoding, pixels: Sequence[int], hidden: Tensor | None = None
    ) -> Tensor:
        """(b, 1, h, w) of standardised films. hidden: (b, n) bool; None hides nothing."""
        patches, side = film.patches, round(film.patches.shape[1] ** 0.5)
        if hidden is not None:
            blank = self.hidden_patch + sincos_2d(patches.shape[-1], side, side, like=patches)
            patches = torch.where(hidden[..., None], blank, patches)
        attended = self.cross.attend_to_sentences(patches, report.sentences, report.tokens.sentence_mask)
        raw = self.image_decoder(patches, attended, (side, side), (int(pixels[0]), int(pixels[1])))
        return bounded(raw, self.config.output, SPAN)

    @torch.no_grad()
    def validation_outputs(self, batch: Any) -> list[Any]:
        films = batch.current.to(self.device)
        film, report = self.encode_films(films), self.encode_reports(batch.report_current)
        hidden = self.hidden_at(film, batch.case_id, step=0)
        reconstruction, grid = self.reconstruct(film, report, films.shape[-2:], hidden), grid_of(hidden)
        errors = [film_errors(shown, films, grid).tolist() for shown in (reconstruction, torch.zeros_like(films))]
        return [
            ReconstructionOutputs(output.film, output.report, output.code, error, plain)
            for output, error, plain in zip(retrieval_outputs(film, report), *errors, strict=True)
        ]

    def validation_scores(self, outputs: Sequence[Any]) -> dict[str, float]:
        """Those of the first stage; `reconstruction.error`, and `.plain`, the error of a film's mean grey."""
        names = ("error", "plain")
        means = {name: float(np.mean([getattr(output, name) for output in outputs])) for name in names}
        return super().validation_scores(outputs) | {f"reconstruction.{name}": mean for name, mean in means.items()}


def grid_of(hidden: Tensor) -> Tensor:
    """(b, g * g) -> (b, g, g)."""
    side = round(hidden.shape[1] ** 0.5)
    return hidden.view(-1, side, side)
