"""set_difference: two classifiers and a set difference, with an optional branch that compares the pair.

The baseline that every paper of this task left out, and the way its reference answers were made: find the findings and
their levels on each film, subtract, render the sentence with the grammar. No published counterpart; the soft product
and the branch on the pair are ours (`docs/methods/set_difference.md`).

Orientation: prior = earlier film, current = later one. Everything is equivariant by construction: exchanging the
films exchanges `added` and `missing`, because both come from one function applied in the two directions,
added = h(current, prior) and missing = h(prior, current), under one threshold.

Say so when comparing: it is trained on finding labels, levels and opacity maps, which the free decoders are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intervalchange import grammar
from intervalchange.blocks.efficientnet_lite import SHAPE
from intervalchange.blocks.encoder_weights import imagenet_tensors
from intervalchange.blocks.processes import average_over_processes
from intervalchange.blocks.pyramid import FeaturePyramid, LitePyramid
from intervalchange.errors import ConfigError
from intervalchange.findings import FINDINGS
from intervalchange.losses.dense import inside_and_outside
from intervalchange.losses.dense import opacity as opacity_loss
from intervalchange.losses.labels import cumulative_ordinal, masked_bce
from intervalchange.methods.base.method import Method, MethodConfig, MethodOutput
from intervalchange.methods.set_difference.answering import CaseAnswer, FilmFindings, evidence_of, ignored_of_difference
from intervalchange.methods.set_difference.deciding import ChangeProbabilities, PairProbabilities, Thresholds
from intervalchange.methods.set_difference.network import FilmEncoding, PairBranch, Pooling, rank_probabilities
from intervalchange.methods.set_difference.thresholds import PairLabels, fit_thresholds
from intervalchange.records import Prediction

if TYPE_CHECKING:
    from intervalchange.data.batch import Batch
    from intervalchange.data.prepared import Prepared

CUTS = (1.5, 2.5, 3.5)
"""Boundaries between the four whole ranks of severity."""


class SetDifferenceConfig(MethodConfig):
    """Sizes, loss weights and how a set of probabilities becomes an answer."""

    model_type = "set_difference"
    renamed: ClassVar[Mapping[str, str]] = MappingProxyType({"places_weight": "locations_weight"})

    trunk: Literal["residual", "efficientnet_lite0"] = "residual"
    """`residual`: small, made for this. `efficientnet_lite0`: has ImageNet weights."""
    trunk_weights: Literal["", "imagenet"] = ""
    """`imagenet`: start `efficientnet_lite0` from the weights of the extra `imagenet`."""
    trunk_rate: float = 1.0
    """Learning rate of `efficientnet_lite0` relative to the rest."""
    trunk_frozen: int = 0
    """So many of the 16 blocks of `efficientnet_lite0`, and all before them, learn nothing: fine maps cost most."""
    widths: tuple[int, ...] = (32, 64, 128, 192)
    """Channels of the `residual` trunk at strides 4, 8, 16, 32."""
    depth: int = 1
    """Residual blocks per stage of the `residual` trunk."""
    width: int = 96
    """Channels of the feature map the heads read."""
    pair: bool = True
    """Add the branch that compares both films."""
    hard: bool = False
    """Subtract the two thresholded sets, as the references were made, in place of the soft product."""
    findings_weight: float = 1.0
    levels_weight: float = 0.3
    opacity_weight: float = 0.3
    locations_weight: float = 1.0
    """How much a map is held to the location of its finding, where masks or boxes are known."""
    pair_weight: float = 1.0
    strangers_weight: float = 0.0
    """Weight of the branch on the pair for the films of a batch paired anew at random: other changes, same encoding."""
    whole_film: bool = False
    """Presence and change are also read from the mean of the coarsest map of the trunk, beside the maps: what shows on
    the film as a whole (emphysema, a pneumothorax with its drain). The maps alone then no longer account for all."""
    even_rates: bool = False
    """Learn as if each finding and each of its changes were as frequent in every source: what is predicted is then
    evidence, not which source a film resembles (logit adjustment, Menon et al., ICLR 2021, eq. 10)."""
    lone_films: bool = False
    """Learn from the films that no training case shows as well (`PairDataset`): patients who came once."""
    max_false_change: float = 0.04
    """Highest share of unchanged validation pairs that may be given a change when thresholds are fixed. Half of the
    8% aimed at, because .07 gave 13% on a test cohort (docs/log.md): many trials overfit a hundred pairs."""

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        for name in ("trunk_weights", "trunk_frozen"):
            if getattr(self, name) and self.trunk != "efficientnet_lite0":
                raise ConfigError(
                    f"model option {name!r} is {getattr(self, name)!r}, and the trunk is {self.trunk!r}.",
                    remedy="Set --model.trunk efficientnet_lite0.",
                )


class SetDifference(Method):
    """Findings and levels of each film, a dense opacity map, the soft set difference, and the pair."""

    config_class = SetDifferenceConfig
    config: SetDifferenceConfig
    name: ClassVar[str] = "set_difference/answer"
    supervision: ClassVar[tuple[str, ...]] = ("findings", "levels", "opacity", "masks")

    change_threshold: Tensor
    finding_threshold: Tensor
    level_threshold: Tensor

    def __init__(self, config: SetDifferenceConfig, tokenizer: Any = None) -> None:
        super().__init__(config, tokenizer)
        findings = len(FINDINGS)
        self.encoder: FeaturePyramid | LitePyramid = (
            FeaturePyramid(config.widths, config.width, config.depth)
            if config.trunk == "residual"
            else LitePyramid(config.width, config.trunk_frozen)
        )
        self.maps = nn.Conv2d(config.width, findings, 1)
        self.pooling = Pooling(findings)
        self.severity = nn.Linear(2 * config.width, findings)
        self.level_cuts = nn.Parameter(torch.empty(findings, len(CUTS)))
        self.opacity = nn.Conv2d(config.width, 1, 1)
        self.pair = PairBranch(config.width, findings) if config.pair else None
        if config.whole_film:
            coarsest = config.widths[-1] if config.trunk == "residual" else SHAPE[-1][0]
            self.whole = nn.Linear(coarsest, findings)
            self.whole_pair = nn.Linear(2 * coarsest, findings) if config.pair else None
        self.register_buffer("change_threshold", torch.full((findings,), 0.5))
        self.register_buffer("finding_threshold", torch.full((findings,), 0.5))
        self.register_buffer("level_threshold", torch.tensor(0.5))
        self.post_init()

    def draw_weights(self, init: Any) -> None:
        """The cuts between ranks start evenly spread."""
        init.copy_(self.level_cuts, torch.tensor([-2.0, 0.0, 2.0]).expand_as(self.level_cuts))

    def load_pretrained(self) -> None:
        if isinstance(self.encoder, LitePyramid) and self.config.trunk_weights:
            self.encoder.network.load_state_dict(imagenet_tensors())

    def rate_factors(self) -> dict[str, float]:
        return {"encoder.network.": self.config.trunk_rate}

    @classmethod
    def dataset(cls, config: Any, prepared: Prepared, split: str, kinds: Any = None, **options: Any) -> Any:
        """As for every method; in training with lone films and rates where they are asked for."""
        if split == "train":
            options |= {"lone_films": config.lone_films, "rates": config.even_rates}
        return super().dataset(config, prepared, split, kinds, **options)

    # --- encoding -------------------------------------------------------------------------------------------------

    def encode_films(self, films: Tensor) -> FilmEncoding:
        """Standardised films (n, 1, h, w) -> what each shows."""
        levels = self.encoder.levels(films)
        features, whole = self.encoder.merged(levels), levels[-1].mean(dim=(2, 3))
        maps = self.maps(features)
        pooled = torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)
        findings = self.pooling(maps)
        if self.config.whole_film:
            findings = findings + self.whole(whole).float()
        return FilmEncoding(features, whole, maps, findings, self.severity(pooled).float(), self.opacity(features))

    def _added(self, first: FilmEncoding, second: FilmEncoding) -> tuple[Tensor, Tensor]:
        """What is on `first` and not on `second`: logits of the maps (b, f, g, g) and of the pair (b, f)."""
        assert self.pair is not None
        maps, added = self.pair(first.features, second.features)
        if self.config.whole_film:
            assert self.whole_pair is not None
            added = added + self.whole_pair(torch.cat([first.whole, second.whole], dim=1)).float()
        return maps, added

    def encode_pair(self, current: Tensor, prior: Tensor) -> tuple[FilmEncoding, FilmEncoding]:
        """Both films in one pass."""
        return self.encode_films(torch.cat([current, prior])).halves()

    def finding_logits(self, films: Tensor) -> Tensor | None:
        return self.encode_films(films).findings

    def opacity_burden(self, films: Tensor) -> Tensor:
        """(n, 1, h, w) standardised -> (n): mean of the predicted opacity map, a severity of the whole film."""
        return torch.sigmoid(self.encode_films(films).opacity.float()).mean(dim=(1, 2, 3))

    # --- learning -------------------------------------------------------------------------------------------------

    def forward(self, **batch: Any) -> MethodOutput:
        """Weighted sum of the label losses of both films and of the change between them."""
        config = self.config
        films = self.encode_films(torch.cat([batch["current"], batch["prior"]]))
        current, prior = films.halves()
        no_prior = ~batch["has_prior"][:, None]
        now = batch["findings_current"]
        then = batch["findings_prior"].masked_fill(no_prior, float("nan"))
        ranks = torch.cat([batch["levels_current"], batch["levels_prior"].masked_fill(no_prior, float("nan"))])
        cuts = torch.tensor(CUTS, device=ranks.device)
        odds, change_odds = self._odds(batch)
        known = torch.cat([now, then])
        mean: dict[str, Any] = {"reduce_mean": average_over_processes}
        # `places` is the name of the term in log.jsonl.
        terms = {
            "findings": masked_bce(films.findings + odds, known, **mean),
            "levels": cumulative_ordinal(films.severity, self.level_cuts, ranks, cuts, **mean),
            "opacity": _opacity_term(current, prior, batch),
            "places": _location_term(batch, (current.maps, prior.maps), (now == 1, then == 1)),
        }
        weights = {"findings": config.findings_weight, "levels": config.levels_weight}
        weights |= {"opacity": config.opacity_weight, "places": config.locations_weight}
        if self.pair is not None:
            added_maps, added = self._added(current, prior)
            missing_maps, missing = self._added(prior, current)
            is_added, is_missing = (now == 1) & (then == 0), (then == 1) & (now == 0)
            located = _location_term(batch, (added_maps, missing_maps), (is_added, is_missing))
            terms["places"] = terms["places"] + located
            # NaN on either side stays NaN: an unknown finding teaches nothing about its change.
            terms["pair"] = 0.5 * (
                masked_bce(added + change_odds, now * (1 - then), **mean)
                + masked_bce(missing + change_odds, then * (1 - now), **mean)
            )
            weights["pair"] = config.pair_weight
            if config.strangers_weight:
                terms["strangers"] = self._strangers_term(films, known, odds, mean)
                weights["strangers"] = config.strangers_weight
        return MethodOutput.of(terms, weights)

    def _odds(self, batch: Mapping[str, Any]) -> tuple[Tensor | float, Tensor | float]:
        """What to add to the logits of findings, (2 b, f), and of changes, (b, f), before the loss: by how much the
        log-odds in the source of each case lie above the mean of the batch. Zero where nothing is to be made even."""
        rates, change_rates = batch.get("finding_rates"), batch.get("change_rates")
        if rates is None or change_rates is None:
            return 0.0, 0.0
        above, change_above = _above_mean(torch.logit(rates)), _above_mean(torch.logit(change_rates))
        return torch.cat([above, above]), change_above

    def _strangers_term(
        self, films: FilmEncoding, known: Tensor, odds: Tensor | float, mean: Mapping[str, Any]
    ) -> Tensor:
        """films: n; known: (n, f) their findings, NaN unknown; odds: of `_odds`. Each film against another at random:
        its finding speaks for the change, the other's against it."""
        other = torch.randperm(len(known), device=known.device)
        added = self._added(films, films.at(other))[1]
        if isinstance(odds, Tensor):
            added = added + odds - odds[other]
        return masked_bce(added, known * (1 - known[other]), **mean)

    # --- deciding -------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def probabilities(self, current: FilmEncoding, prior: FilmEncoding) -> PairProbabilities:
        """Probabilities of each film and of the branch on the pair, before anything is subtracted; on the CPU."""
        now, then = torch.sigmoid(current.findings.float()), torch.sigmoid(prior.findings.float())
        ranks = [rank_probabilities(film.severity, self.level_cuts) for film in (current, prior)]
        level = now * then * (1 - (ranks[0] * ranks[1]).sum(-1))
        values = [now, then, level, *(rank.argmax(-1) for rank in ranks)]
        if self.pair is not None:
            for first, second in ((current, prior), (prior, current)):
                values.append(torch.sigmoid(self._added(first, second)[1]))
        return PairProbabilities(*(value.cpu() for value in values))

    def change_probabilities(self, pair: PairProbabilities) -> ChangeProbabilities:
        """Added and missing, by the soft product or (`hard`) by the sets above the thresholds."""
        return pair.subtracted(self.finding_threshold.cpu() if self.config.hard else None)

    @property
    def thresholds(self) -> Thresholds:
        """Those that `calibrate` has fixed."""
        finding, change = self.finding_threshold.cpu().numpy(), self.change_threshold.cpu().numpy()
        return Thresholds(finding, change, float(self.level_threshold))

    # --- answering ------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def answer(self, batch: Batch, *, evidence: bool = False) -> list[Prediction]:
        """The change rendered by the grammar, or the answer to a question about the current film alone."""
        self.check_prior(batch)
        current, prior = self.encode_pair(batch.current, batch.prior)
        maps = self._maps(current, prior) if evidence or "location" in batch.kind else None
        answers = self._case_answers(
            batch, self.probabilities(current, prior), None if maps is None else maps["current"]
        )
        predictions = self.predictions(
            batch,
            [answer.text for answer in answers],
            confidence=[answer.confidence for answer in answers],
            changes=[answer.change for answer in answers],
            evidence=[evidence_of(answer.change, maps, row) for row, answer in enumerate(answers)]
            if evidence and maps is not None
            else None,
        )
        return [
            replace(prediction, warnings=(*prediction.warnings, *answer.warnings))
            for prediction, answer in zip(predictions, answers, strict=True)
        ]

    def _case_answers(self, batch: Batch, pair: PairProbabilities, maps: np.ndarray | None) -> list[CaseAnswer]:
        """maps: (b, f, g, g) of the current films, for questions about a location."""
        thresholds, change = self.thresholds, self.change_probabilities(pair)
        probability, rank = pair.current.numpy(), pair.current_rank.numpy()
        answers = []
        for row, decided in enumerate(change.decided(pair, thresholds)):
            if batch.kind[row] == "difference":
                ignored = ignored_of_difference(batch.question[row])
                answer = CaseAnswer(grammar.render(decided), change.confidence(pair, decided, row), decided, ignored)
            else:
                present = probability[row] > thresholds.finding
                film = FilmFindings(probability[row], present, rank[row], None if maps is None else maps[row])
                answer = film.answer(batch.kind[row], batch.question[row])
            answers.append(answer)
        return answers

    @torch.no_grad()
    def _maps(self, current: FilmEncoding, prior: FilmEncoding) -> dict[str, np.ndarray]:
        """(b, f, g, g) in [0, 1]: where each finding is on a film, and where it was added or went missing."""
        now, then = torch.sigmoid(current.maps.float()), torch.sigmoid(prior.maps.float())
        added, missing = now, then
        if self.pair is not None:
            added = (now + torch.sigmoid(self._added(current, prior)[0].float())) / 2
            missing = (then + torch.sigmoid(self._added(prior, current)[0].float())) / 2
        named = {"current": now, "prior": then, "added": added, "missing": missing}
        return {name: value.cpu().numpy() for name, value in named.items()}

    def maps_of(self, batch: Batch) -> dict[str, np.ndarray]:
        """(b, f, g, g) attribution maps of every finding: current, prior, added, missing; for measuring evidence."""
        with torch.no_grad():
            return self._maps(*self.encode_pair(batch.current, batch.prior))

    @torch.no_grad()
    def calibrate(self, batches: Iterable[Batch]) -> Mapping[str, float]:
        """Fix the thresholds on validation pairs: change F1, under a bound on false changes of unchanged pairs."""
        probabilities, labels = [], []
        for batch in batches:
            probabilities.append(self.probabilities(*self.encode_pair(batch.current, batch.prior)))
            # A level that is unknown on either film has not changed: NaN is neither below nor above anything.
            step = batch.levels_current - batch.levels_prior
            labels.append((batch.findings_current, batch.findings_prior, (step > 0) | (step < 0)))
        if not labels:
            return {}
        thresholds, reached = fit_thresholds(
            PairProbabilities.joined(probabilities),
            PairLabels(*(torch.cat(column).cpu().numpy() for column in zip(*labels, strict=True))),
            hard=self.config.hard,
            max_false_change=self.config.max_false_change,
        )
        self.finding_threshold.copy_(torch.from_numpy(thresholds.finding))
        self.change_threshold.copy_(torch.from_numpy(thresholds.change))
        self.level_threshold.fill_(thresholds.level)
        said = thresholds.change[thresholds.change < 1]
        threshold = float(np.median(said)) if len(said) else 1.0
        return {"change_f1": reached, "threshold": threshold, "level_threshold": thresholds.level}


def _above_mean(odds: Tensor) -> Tensor:
    """(b, f), NaN unknown -> by how much each lies above the mean of the known ones of its finding; 0 where unknown."""
    known = (~torch.isnan(odds)).to(odds.dtype)
    total, count = average_over_processes(odds.nansum(dim=0)), average_over_processes(known.sum(dim=0))
    return torch.nan_to_num(odds - total / count.clamp(min=torch.finfo(odds.dtype).tiny))


def _opacity_term(current: FilmEncoding, prior: FilmEncoding, batch: Mapping[str, Any]) -> Tensor:
    logits = torch.cat([current.opacity, prior.opacity])
    if batch.get("opacity_current") is None:
        return logits.sum() * 0
    maps = torch.cat([batch["opacity_current"], batch["opacity_prior"]])
    # The stored maps may be finer than the grid; the target of a cell is the mean over it.
    targets = F.adaptive_avg_pool2d(maps, (logits.shape[-2], logits.shape[-1]))
    return opacity_loss(logits, targets, reduce_mean=average_over_processes)


def _location_term(batch: Mapping[str, Any], maps: tuple[Tensor, Tensor], counted: tuple[Tensor, Tensor]) -> Tensor:
    """The maps of the current and of the prior film, each held to where the findings of that film are."""
    current, prior = batch.get("locations_current"), batch.get("locations_prior")
    if current is None or prior is None:
        return sum(part.sum() for part in maps) * torch.zeros((), device=maps[0].device)
    locations = torch.cat([current, prior])
    return inside_and_outside(torch.cat(maps), locations, torch.cat(counted), average_over_processes)
