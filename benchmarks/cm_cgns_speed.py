"""The loss part of a CM-CGNS step: ours against the loop over films of the published code, re-created from its facts.

    python benchmarks/cm_cgns_speed.py

Forward and backward of the cross-attention and of the local image and text terms, from the places of films and the
sentences of reports: 64 films, 196 places, 16 sentences, width 768, 128 centroids. Ours also in its published options.
Each form runs in a process of its own, so that its peak of memory is its own: the resident size above that of the same
process with inputs and weights in place.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch
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


def parts(films: int, places: int, sentences: int, width: int) -> tuple[CrossModalAttention, nn.Module, list[Tensor]]:
    """Layers, and (b, n, d) places, (b, s, d) sentences, (K, d) centroids."""
    torch.manual_seed(0)
    cross = CrossModalAttention(width, "sigmoid")
    predictor = nn.Sequential(nn.Linear(width, width // 2), nn.ReLU(), nn.Linear(width // 2, width))
    shapes = ((films, places, width), (films, sentences, width), (CENTROIDS, width))
    inputs = [F.normalize(torch.randn(shape), dim=-1) for shape in shapes]
    return cross, predictor, [inputs[0].requires_grad_(), inputs[1].requires_grad_(), inputs[2]]


def ours(cross: CrossModalAttention, predictor: nn.Module, inputs: list[Tensor]) -> Tensor:
    """All films at once, in the published options (so that both forms have one value)."""
    places, sentences, table = inputs
    mask = sentences.new_ones(sentences.shape[:2])
    said = cross.attend_to_sentences(places, sentences, mask)
    one = sentences.new_ones(len(sentences))
    image = mutual_prediction(places, said, predictor(places), predictor(said), one, one.sum())
    told, found = sentences.flatten(0, 1), cross.attend_to_patches(sentences, places).flatten(0, 1)
    table = moved_centroids(table, found.detach(), 0.001, "sum")
    alike, hard = cosines(told, found), cosines(told, second_nearest(told.detach(), table))
    own = nearest(told.detach(), table)
    false = (own[:, None] == own[None, :]).fill_diagonal_(False)
    contrast = clustered_contrast(alike, hard, others="zero")
    return image + contrast + 1e-4 * margin_loss(alike, false, 0.2, 0.5, masked=False)


def loop(cross: CrossModalAttention, predictor: nn.Module, inputs: list[Tensor]) -> Tensor:
    """Film by film, and cosines by broadcasting (n, n, d), three times; weights as nested lists."""
    image, told, found = [], [], []
    for film in range(len(inputs[0])):
        places, sentences = inputs[0][film : film + 1], inputs[1][film : film + 1]
        said = cross.attend_to_sentences(places, sentences, sentences.new_ones(sentences.shape[:2]))
        halves = [
            F.cosine_similarity(predictor(a), b.detach(), dim=-1).mean() for a, b in ((places, said), (said, places))
        ]
        image.append(-0.5 * sum(halves))
        told.append(sentences[0])
        found.append(cross.attend_to_patches(sentences, places)[0])
    rows, partners, table = torch.cat(told), torch.cat(found), inputs[2]
    alike = F.cosine_similarity(rows[:, None], partners[None], dim=-1)
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
    contrast = F.cross_entropy(torch.cat([alike, hard * weights], dim=1), torch.arange(len(rows)))
    false = ((own[:, None] == own[None]) & ~torch.eye(len(rows), dtype=torch.bool)).float()
    gap = (alike - alike.diagonal()[:, None]) * false
    margin = (F.relu(gap + 0.2) + F.relu(-gap - 0.5)).mean()
    return torch.stack(image).mean() + contrast + 1e-4 * margin


def peak() -> float:
    """Largest resident size of this process yet, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(form: str, sizes: list[int], repeats: int) -> dict[str, float]:
    """Value, least CPU seconds of a step, and MiB above what stood before it."""
    layers = parts(*sizes)
    at_rest, seconds = peak(), []
    for _ in range(repeats):
        started = time.process_time()
        loss = {"loop": loop, "ours": ours}[form](*layers)
        loss.backward()
        seconds.append(time.process_time() - started)
    return {"loss": float(loss.detach()), "seconds": min(seconds), "mebibytes": peak() - at_rest}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sizes", type=int, nargs=4, default=[64, 196, 16, 768], help="films places sentences width")
    options.add_argument("--repeats", type=int, default=2)
    options.add_argument("--form", choices=FORMS, help="measure one form in this process")
    options.add_argument("--results", type=Path, default=Path("benchmarks/results/cm_cgns_speed.json"))
    chosen = options.parse_args()
    torch.set_num_threads(1)
    if chosen.form:
        print(json.dumps(measured(chosen.form, chosen.sizes, chosen.repeats)))
        return
    sizes = [str(size) for size in chosen.sizes]
    found = {}
    for form in FORMS:
        call = [sys.executable, __file__, "--form", form, "--repeats", str(chosen.repeats), "--sizes", *sizes]
        found[form] = json.loads(subprocess.run(call, capture_output=True, text=True, check=True).stdout)
    ratios = {name: found["loop"][name] / found["ours"][name] for name in ("seconds", "mebibytes")}
    facts = {
        "sizes": chosen.sizes,
        "repeats": chosen.repeats,
        "machine": platform.machine(),
        "torch": torch.__version__,
    }
    result = {**facts, **found, "loop over ours": ratios}
    print(json.dumps(result, indent=1))
    chosen.results.parent.mkdir(parents=True, exist_ok=True)
    chosen.results.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
