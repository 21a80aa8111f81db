"""Do clusters of sentences mean anything? The text side of CM-CGNS on real reports, without films.

    python benchmarks/report_clusters.py --reports openi_reports.csv --out clusters.md --minutes 2

A CSV with the columns findings and impression. There are no films, so what a sentence is paired with is itself read a
second time, under another dropout (ClusterNS, SimCSE): the text term with its centroids, its hard negatives and its
margin is that of `cm_cgns/align`, and so is the encoder; word pieces are learnt from the reports. Written: of ten
centroids, spread evenly over those with sentences of their own, the ten nearest distinct sentences, with their cosine
and how many sentences of all reports are nearest to that centroid.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from harness.command import Command
from harness.timing import cpu_budget
from torch import Tensor

from intervalchange.config import load_preset
from intervalchange.data.answer_words import text_code
from intervalchange.losses.clustering import cosines
from intervalchange.methods.cm_cgns.align import CmCgnsAlign
from intervalchange.methods.cm_cgns.options import CmCgnsConfig
from intervalchange.methods.cm_cgns.report_tokens import learnt_tokenizer, report_sentences

SHOWN, WORDS = 10, 4000
BATCH = 128


def read_sentences(path: Path) -> list[str]:
    """Every sentence of findings and impression, repeated as often as it is written."""
    table = pd.read_csv(path, dtype=str).fillna("")
    texts = table["findings"] + "\n\n" + table["impression"]
    return [sentence for text in texts for sentence in report_sentences(text) if len(sentence.split()) > 1]


def model_for(sentences: Sequence[str], clusters: int, temperature: float) -> CmCgnsAlign:
    """The small preset with word pieces of these sentences; of its terms, the text term."""
    tokenizer = learnt_tokenizer(sentences, WORDS)
    options = {"image_weight": 0.0, "global_weight": 0.0, "text_weight": 1.0, "clusters": clusters}
    # Without dropout a second reading would be the first.
    options |= {"sentences": 1, "tokens": 48, "text_temperature": temperature, "cluster_start": 1.0, "dropout": 0.1}
    torch.manual_seed(0)
    return CmCgnsAlign(CmCgnsConfig(**{**load_preset("cm_cgns/align", "small").model, **options}), tokenizer)


def trained(model: CmCgnsAlign, sentences: Sequence[str], minutes: float, rate: float) -> int:
    """Steps made in so many CPU minutes, over distinct sentences in a fixed random order."""
    distinct = list(dict.fromkeys(sentences))
    generator, optimiser = torch.Generator().manual_seed(0), torch.optim.AdamW(model.parameters(), lr=rate)
    steps = 0
    model.train()
    for used in cpu_budget(minutes):
        rows = torch.randperm(len(distinct), generator=generator)[:BATCH].tolist()
        batch = [distinct[row] for row in rows]
        first, second = (model.encode_reports(batch).sentences[:, 0] for _ in range(2))
        loss = model.text_loss(first, second, torch.tensor([text_code(text) for text in batch]))
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (steps + 1) / 20) * (1 - used)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        steps += 1
        if steps % 20 == 0:
            print(f"step {steps}: {float(loss.detach()):.3f}", flush=True)
    return steps


@torch.no_grad()
def vectors(model: CmCgnsAlign, texts: Sequence[str]) -> Tensor:
    """(n, d)."""
    model.eval()
    return torch.cat(
        [model.encode_reports(texts[row : row + 256]).sentences[:, 0] for row in range(0, len(texts), 256)]
    )


def page(model: CmCgnsAlign, sentences: Sequence[str], facts: str) -> str:
    """Markdown: ten centroids, ten sentences each."""
    counts = pd.Series(list(sentences)).value_counts()
    texts = counts.index.tolist()
    similarity = cosines(vectors(model, texts), model.centroids.table)
    owner = similarity.argmax(1)
    size = torch.zeros(similarity.shape[1]).index_add_(0, owner, torch.tensor(counts.to_numpy(), dtype=torch.float32))
    used = size.nonzero()[:, 0].tolist()
    chosen = sorted({used[round(rank * (len(used) - 1) / (SHOWN - 1))] for rank in range(SHOWN)})
    lines = ["# Sentences nearest to ten centroids", "", facts, ""]
    lines += [
        f"{len(used)} of {similarity.shape[1]} centroids are nearest to some of the {int(counts.sum()):,} sentences.",
        "",
    ]
    for number in chosen:
        lines += [f"## Centroid {number}: {int(size[number])} sentences", ""]
        best = similarity[:, number].topk(min(SHOWN, len(texts)))
        pairs = zip(best.values.tolist(), best.indices.tolist(), strict=True)
        lines += [*(f"- {value:.2f} {texts[row]}" for value, row in pairs), ""]
    return "\n".join(lines)


def main() -> None:
    options = Command(__doc__)
    options.add_argument("--reports", type=Path, required=True, help="CSV with findings and impression")
    options.add_argument("--out", type=Path, required=True, help="Markdown to write")
    options.add_argument("--minutes", type=float, default=2.0, help="CPU minutes of training")
    options.add_argument("--clusters", type=int, default=64)
    options.add_argument("--temperature", type=float, default=0.1)
    options.add_argument("--rate", type=float, default=5e-4)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    sentences = read_sentences(chosen.reports)
    model = model_for(sentences, chosen.clusters, chosen.temperature)
    steps = trained(model, sentences, chosen.minutes, chosen.rate)
    counts = f"{len(sentences):,} sentences, {len(set(sentences)):,} distinct"
    facts = f"{counts}; {steps} steps of {BATCH}, {chosen.minutes} CPU minutes."
    chosen.out.write_text(page(model, sentences, facts) + "\n", encoding="utf-8")
    print(facts)


if __name__ == "__main__":
    main()
