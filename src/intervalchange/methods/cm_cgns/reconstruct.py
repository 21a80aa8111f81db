"""CM-CGNS, second stage: places of the films are hidden and painted with the help of the report.

The terms of the first stage (`cm_cgns.py`) go on, and a fourth is added. Half of the places lose their features; the
report is read at every place; from both a decoder paints the film.

Differs: whole places are hidden, all of their channels (published, for ResNet: channels, at all places), and what is
    left is not scaled. A hidden place asks the report by a learnt vector and where it is, so that nothing of what was
    there reaches the decoder through the words (published: it asks by its hidden features).
Differs: the pixels of the hidden places count (`target: all` as published), against the standardised film.
Differs: the decoder ends in a convolution, or tanh over +-4 deviations (published: ReLU, then tanh: nothing darker than
    mid-grey); one kind of decoder, whose transformer layers have weights of their own and read the report.
Differs: places are hidden by a number of film and step, the same on any process. In use nothing is hidden; validation
    hides the same places of a film every time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from intervalchange.blocks.encoders import sincos_2d
from intervalchange.blocks.processes import average_over_processes
from intervalchange.data.answer_words import case_uniforms
from intervalchange.errors import ConfigError
from intervalchange.losses.reconstruction import bounded, film_errors, hidden_places, painted_error
from intervalchange.methods.cm_cgns.align import CmCgnsAlign, CmCgnsConfig, FilmOutputs, ReadReport, SeenFilm
from intervalchange.methods.cm_cgns.image_decoder import ImageDecoder

SPAN = 4.0
"""Deviations of a standardised film that `output: tanh` can reach."""


class CmCgnsReconstructConfig(CmCgnsConfig):
    """What the second stage adds."""

    model_type = "cm_cgns_reconstruct"

    reconstruction_weight: float = 10.0
    hidden: float = 0.5
    """Share of the places that are hidden."""
    target: Literal["masked", "all"] = "masked"
    """Whose pixels count."""
    output: Literal["linear", "tanh"] = "linear"
    paint_width: int = 128
    """Channels of the decoder's first convolution; each doubling of the side halves them."""
    paint_layers: int = 0
    """Transformer layers before the convolutions."""
    paint_heads: int = 4

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
    """One film of validation, and how its hidden places were painted."""

    error: float
    """Mean absolute error over them, in deviations of the film."""
    plain: float
    """The same of the grey that is the film's mean."""


class CmCgnsReconstruct(CmCgnsAlign):
    """See the module's docstring."""

    config_class = CmCgnsReconstructConfig
    config: CmCgnsReconstructConfig
    name: ClassVar[str] = "cm_cgns/reconstruct"
    follows: ClassVar[tuple[str, ...]] = ("cm_cgns/align",)
    places_read_sentences: ClassVar[bool] = True

    def _build(self) -> None:
        config = self.config
        self.hidden_place = nn.Parameter(torch.empty(config.width))
        sizes = {"layers": config.paint_layers, "heads": config.paint_heads}
        self.painter = ImageDecoder(config.width, config.paint_width, self.stride, **sizes)
        self._step = 0

    def draw_weights(self, init: Any) -> None:
        super().draw_weights(init)
        init.normal_(self.hidden_place, std=0.02)

    def progress(self, step: int, steps: int, epoch: float) -> None:
        self._step = step

    def _reconstruction_term(self, film: SeenFilm, report: ReadReport, batch: Mapping[str, Any]) -> Tensor:
        hidden = self.hiding(film, batch["case_id"], self._step)
        painted = self.paint(film, report, batch["current"].shape[-2:], hidden)
        total = average_over_processes(torch.tensor(float(len(hidden)), device=painted.device))
        counted = grid_of(hidden) if self.config.target == "masked" else None
        return painted_error(painted, batch["current"], counted, total)

    def hiding(self, film: SeenFilm, case_ids: Sequence[str], step: int) -> Tensor:
        """(b, n) bool: which places of each film are hidden at a step."""
        lots = case_uniforms(case_ids, step, "hidden place", film.places.shape[1])
        return hidden_places(torch.from_numpy(lots).to(film.places.device), self.config.hidden)

    def paint(self, film: SeenFilm, report: ReadReport, pixels: Sequence[int], hidden: Tensor | None = None) -> Tensor:
        """(b, 1, h, w) of standardised films. hidden: (b, n) bool; None hides nothing."""
        places, side = film.places, round(film.places.shape[1] ** 0.5)
        if hidden is not None:
            blank = self.hidden_place + sincos_2d(places.shape[-1], side, side, like=places)
            places = torch.where(hidden[..., None], blank, places)
        said = self.cross.places_read(places, report.sentences, report.text.spoken)
        raw = self.painter(places, said, (side, side), (int(pixels[0]), int(pixels[1])))
        return bounded(raw, self.config.output, SPAN)

    @torch.no_grad()
    def validation_outputs(self, batch: Any) -> list[Any]:
        films = batch.current.to(self.device)
        film, report = self.see(films), self.read(batch.report_current)
        hidden = self.hiding(film, batch.case_id, step=0)
        painted, grid = self.paint(film, report, films.shape[-2:], hidden), grid_of(hidden)
        errors = [film_errors(one, films, grid).tolist() for one in (painted, torch.zeros_like(films))]
        known = super().validation_outputs(batch)
        return [
            ReconstructionOutputs(one.film, one.report, one.code, error, plain)
            for one, error, plain in zip(known, *errors, strict=True)
        ]

    def validation_scores(self, outputs: Sequence[Any]) -> dict[str, float]:
        """Those of the first stage; `reconstruction.error`, and `.plain`, what the mean grey of a film errs."""
        names = ("error", "plain")
        metrics = {f"reconstruction.{name}": float(np.mean([getattr(one, name) for one in outputs])) for name in names}
        return super().validation_scores(outputs) | metrics


def grid_of(hidden: Tensor) -> Tensor:
    """(b, g * g) -> (b, g, g)."""
    side = round(hidden.shape[1] ** 0.5)
    return hidden.unflatten(1, (side, side))
