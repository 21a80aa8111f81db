"""The regions of a pair of films, for methods that compare regions: found on the films, or read from a region store.

C2F and EKAID answer from the same regions; what finds them is trained by `c2f/anatomy` and `c2f/diseases`, and `--from`
carries it over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from intervalchange.blocks.projection import FirstBatchNorm
from intervalchange.blocks.region_queries import RegionView
from intervalchange.data.dataset import FilmDataset, PairDataset
from intervalchange.data.prepared import Prepared
from intervalchange.data.region_store import RegionPairs, check_store, weight_hash
from intervalchange.errors import ConfigError
from intervalchange.methods.base.method import Method
from intervalchange.methods.c2f.anatomy import RegionConfig, build_vision

FAR = 6.0
"""Standardised vectors are cut here: a channel that stood still in the first batch must not explode later."""


class PairedRegionsConfig(RegionConfig):
    """Where the regions of a pair come from, and whether what finds them is trained on."""

    regions: Literal["fly", "store"] = "fly"
    """Where training takes regions from: the films, or what `prepare --regions RUN` stored. Answers read films."""
    region_store: str = ""
    """First digits of the hash of the store, where the prepared folder has several."""
    vision_rate: float = 0.0
    """Learning rate of the film part relative to the rest; 0 leaves it as the film stages made it."""

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.regions == "store" and self.vision_rate:
            raise ConfigError(
                "stored regions do not learn.", remedy="Set --model.vision_rate 0 or --model.regions fly."
            )


class PairedRegions(Method):
    """Base of methods over the regions of a pair; a subclass builds the rest and calls `self.post_init()`."""

    config_class = PairedRegionsConfig
    config: PairedRegionsConfig
    supervision = ("answers", "regions", "findings", "masks")

    def __init__(self, config: PairedRegionsConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        super().__init__(config, tokenizer)
        self.vision = build_vision(config, diseases=True)
        if not config.vision_rate:
            self.vision.requires_grad_(False)
        self.standard = FirstBatchNorm(len(config.region_names) * 2 * config.width)

    @classmethod
    def dataset(
        cls, config: Any, prepared: Prepared, split: str, kinds: Sequence[str] | None = None, **options: Any
    ) -> PairDataset | FilmDataset:
        """As every method's; stored regions where the configuration says so."""
        if config.regions == "fly":
            return super().dataset(config, prepared, split, kinds, **options)
        options |= {"answered": True, "supervision": cls.supervision, "store": config.region_store}
        return RegionPairs(prepared, split, kinds, config.pixels, **options)

    def rate_factors(self) -> dict[str, float]:
        return {"vision.": self.config.vision_rate}

    def train(self, mode: bool = True) -> Self:
        """As in torch; film parts that do not learn stay in evaluation mode."""
        super().train(mode)
        if not self.config.vision_rate:
            self.vision.eval()
        return self

    def weight_hash(self) -> str:
        """Of the weights that make regions out of films; names a region store."""
        return weight_hash(self.vision.state_dict())

    def check_items(self, items: Any) -> None:
        """Refuse regions that other weights have stored."""
        if self.config.regions == "store":
            for part in items.parts:
                check_store(part.store, self.weight_hash(), self.config.pixels)

    def region_views(self, batch: Mapping[str, Any]) -> tuple[RegionView, RegionView]:
        """Regions of the prior and of the current films; of an absent prior, what must not be read."""
        of_prior, of_current = batch.get("features_prior"), batch.get("features_current")
        if of_prior is not None and of_current is not None:
            stored = torch.cat([of_prior, of_current]).to(self.device)
            view = RegionView.unpacked(stored, self.config.width)
            return view.half(False), view.half(True)
        current, prior, has_prior = (batch[name].to(self.device) for name in ("current", "prior", "has_prior"))
        films = torch.cat([torch.where(has_prior.view(-1, 1, 1, 1), prior, current), current])
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.config.vision_rate > 0):
            view, _ = self.vision(films)
        return view.half(False), view.half(True)

    def standardised(self, vectors: Tensor) -> Tensor:
        """(2b, r, c) -> the same: every channel of every region by itself."""
        flat: Tensor = self.standard(vectors.flatten(1).unsqueeze(1))
        return flat.view_as(vectors)

    def region_vectors(self, views: tuple[RegionView, RegionView]) -> tuple[Tensor, Tensor, Tensor]:
        """F_a and F_d (2b, r, d), standardised, and presence (2b, r) in [0, 1]: the prior films, then the current."""
        joined = [torch.cat([getattr(view, name) for view in views]) for name in ("anatomy", "disease")]
        vectors = torch.cat(joined, dim=-1)
        anatomy, disease = self.standardised(vectors).clamp(-FAR, FAR).chunk(2, dim=-1)
        return anatomy, disease, torch.sigmoid(torch.cat([view.presence for view in views]).float())
