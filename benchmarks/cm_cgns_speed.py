"""The loss part of a CM-CGNS step: ours against the loop over films of the published code, re-created from its facts.

    python benchmarks/cm_cgns_speed.py

Forward and backward of the cross-attention and of the local image and text terms, from the patches of films and the
sentences of reports: 64 films, 196 patches, 16 sentences, width 768, 128 centroids. Ours also in its published options.
Each form runs in a process of its own, so that its peak of memory is its own: the resident size above that of the same
process with inputs and weights in place.
"""

from __future__ import annotations

import json
import platform

import torch
from harness.command import Command, write_result
from harness.timing import in_own_process, least_cpu_seconds, peak_mebibytes
from torch import Tensor, nn
from torch.nn import functional as F

from intervalchange.losses.clustering import (
    clustered_contrast,
    cosines,
    margin_loss,
    moved_centroids,
    nearest,
    second_nearest,
)
from intervalchange.losses.local_alignment import mutual_prediction
from intervalchange.methods.cm_cgns.cross_modal import CrossModalAttention

CENTROIDS = 128
FORMS = ("loop", "ours")


def parts(films: int, patches: int, sentences: int, width: int) -> tuple[CrossModalAttention, nn.Module, list[Tensor]]:
    """Layers, and (b, n, d) patches, (b, s, d) sentences, (K, d) centroids."""
    torch.manual_seed(0)
    cross = CrossModalAttention(width, "sigmoid")
    predictor = nn.Sequential(nn.Linear(width, width // 2), nn.ReLU(), nn.Linear(width // 2, width))
    shapes = ((films, patches, width), (films, sentences, width), (CENTROIDS, width))
    inputs = [F.normalize(torch.randn(shape), dim=-1) for shape in shapes]
    return cross, predictor, [inputs[0].requires_grad_(), inputs[1].requires_grad_(), inputs[2]]


def ours(cross: CrossModalAttention, predictor: nn.Module, inputs: list[Tensor]) -> Tensor:
    """All films at once, in the published options (so that both forms have one value)."""
    patches, sentences, table = inputs
    mask = sentences.new_ones(sentences.shape[:2])
    context = cross.attend_to_sentences(patches, sentences, mask)
    weight = sentences.new_ones(len(sentences))
    image = mutual_prediction(patches, context, predictor(patches), predictor(context), weight, weight.sum())
    rows, partners = sentences.flatten(0, 1), cross.attend_to_patches(sentences, patches).flatten(0, 1)
    table = moved_centroids(table, partners.detach(), 0.001, "sum")
    similarity, hard = cosines(rows, partners), cosines(rows, second_nearest(rows.detach(), table))
    own = nearest(rows.detach(), table)
    false = (own[:, None] == own[None, :]).fill_diagonal_(False)
    contrast = clustered_contrast(similarity, hard, others="zero")
    return image + contrast + 1e-4 * margin_loss(similarity, false, 0.2, 0.5, masked=False)


def loop(cross: CrossModalAttention, predictor: nn.Module, inputs: list[Tensor]) -> Tensor:
    """Film by film, and cosines by broadcasting (n, n, d), three times; weights as nested lists."""
    image, sentence_rows, context_rows = [], [], []
    for film in range(len(inputs[0])):
        patches, sentences = inputs[0][film : film + 1], inputs[1][film : film + 1]
        context = cross.attend_to_sentences(patches, sentences, sentences.new_ones(sentences.shape[:2]))
        halves = [
            F.cosine_similarity(predictor(a), b.detach(), dim=-1).mean()
            for a, b in ((patches, context), (context, patches))
        ]
        image.append(-0.5 * sum(halves))
        sentence_rows.append(sentences[0])
        context_rows.append(cross.attend_to_patches(sentences, patches)[0])
    rows, partners, table = torch.cat(sentence_rows), torch.cat(context_rows), inputs[2]
    similarity = F.cosine_similarity(rows[:, None], partners[None], dim=-1)
    with torch.no_grad():
        unit = F.normalize(partners, dim=-1)
        owner = F.cosine_similarity(unit[:, None], table[None], dim=-1).argmax(1)
        table = table.clone()
        for cluster in range(len(table)):
            members = unit[owner == cluster]
            if len(members):
                table[cluster] = 0.999 * table[cluster] + 0.001 * members.sum(0)
        near = F.cosine_similarity(rows[:, None], table[None], dim=-1)
        hardest, own = table[near.topk(2, dim=1).indices[:, 1]], near.argmax(1)
    hard = F.cosine_similarity(rows[:, None], hardest[None], dim=-1)
    weights = torch.tensor([[3.0 if i == j else 0.0 for j in range(len(rows))] for i in range(len(rows))])
    contrast = F.cross_entropy(torch.cat([similarity, hard * weights], dim=1), torch.arange(len(rows)))
    false = ((own[:, None] == own[None]) & ~torch.eye(len(rows), dtype=torch.bool)).float()
    gap = (similarity - similarity.diagonal()[:, None]) * false
    margin = (F.relu(gap + 0.2) + F.relu(-gap - 0.5)).mean()
    return torch.stack(image).mean() + contrast + 1e-4 * margin


def measured(form: str, sizes: list[int], repeats: int) -> dict[str, float]:
    """Value, least CPU seconds of a step, and MiB above the peak before it."""
    layers, losses = parts(*sizes), []

    def step() -> None:
        losses.append({"loop": loop, "ours": ours}[form](*layers))
        losses[-1].backward()
        losses[-1] = losses[-1].detach()

    at_rest = peak_mebibytes()
    seconds = least_cpu_seconds(step, repeats)
    return {"loss": float(losses[-1]), "seconds": seconds, "mebibytes": peak_mebibytes() - at_rest}


def main() -> None:
    options = Command(__doc__)
    options.add_argument("--sizes", type=int, nargs=4, default=[64, 196, 16, 768], help="films patches sentences width")
    options.add_argument("--repeats", type=int, default=2)
    options.add_argument("--form", choices=FORMS, help="measure one form in this process")
    options.result("--results", "cm_cgns_speed.json")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    if chosen.form:
        print(json.dumps(measured(chosen.form, chosen.sizes, chosen.repeats)))
        return
    arguments = ["--repeats", str(chosen.repeats), "--sizes", *(str(size) for size in chosen.sizes)]
    measurements = {form: in_own_process(__file__, "--form", form, *arguments) for form in FORMS}
    ratios = {name: measurements["loop"][name] / measurements["ours"][name] for name in ("seconds", "mebibytes")}
    facts = {
        "sizes": chosen.sizes,
        "repeats": chosen.repeats,
        "machine": platform.machine(),
        "torch": torch.__version__,
    }
    write_result(chosen.results, {**facts, **measurements, "loop over ours": ratios})


if __name__ == "__main__":
    main()
