"""A method of your own: written, registered, trained for a few steps on a simulated cohort. Seconds on one core.

python examples/my_method.py --out runs/mine
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

import intervalchange as ic
from intervalchange.data.prepare import prepare
from intervalchange.data.prepared import Prepared
from intervalchange.methods import register
from intervalchange.methods.base.paired_films import PairedFilms, PairedFilmsConfig
from intervalchange.simulation.cohort import simulate
from intervalchange.training import train


class MineConfig(PairedFilmsConfig):
    """The options of `--model.`: typed fields; those of the encoder and the decoder come along."""

    model_type = "mine"

    subtract: bool = True
    """Give the decoder the difference of each cell of the map, beside the current one."""


class Mine(PairedFilms):
    """One encoder for both films; a decoder reads the current map and its difference from the prior one."""

    config_class = MineConfig
    name: ClassVar[str] = "mine/answer"

    def __init__(self, config: MineConfig, tokenizer: object = None) -> None:
        super().__init__(config, tokenizer)
        self.enter = nn.Linear(self.encoder.width, config.decoder_width)
        self.post_init()

    def memory(self, maps: Tensor, has_prior: Tensor) -> dict[str, Tensor]:
        prior, current = self.enter(self.tokens(maps)).chunk(2)
        tokens = [current, current - prior] if self.config.subtract else [current, prior]
        return {"encoder_hidden_states": torch.cat(tokens, dim=1)}


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, default=Path("runs/mine"))
    out = options.parse_args().out
    register("mine/answer", __name__, "Mine")
    simulate(out / "cohort", patients=20, pixels=64, splits="8:1:1", workers=1)
    prepare("mimic_diff_vqa", out / "cohort", out / "prepared", pixels=64)
    run = train("mine/answer", out / "prepared", out / "run", size=str(Path(__file__).with_suffix(".yaml")))
    for prediction in ic.load(run).predict(Prepared(out / "prepared"), "test"):
        print(f"{prediction.case_id}: {prediction.answer} (truth: {prediction.reference})")
