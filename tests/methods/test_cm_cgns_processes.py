"""CM-CGNS on two processes (gloo) against one with the joined batch: loss, gradients, centroids, and after resuming."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from gloo import run_script
from safetensors.torch import load_file

PROCESS = """
import sys
sys.path.insert(0, sys.argv[1])
import contract, toy, torch
from pathlib import Path
from safetensors.torch import save_file
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from intervalchange.methods import method_class
out, rank, world, options = Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), eval(sys.argv[5])
torch.set_num_threads(1)
if world > 1:
    store = distributed.FileStore(str(out) + ".store", world)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=world)
model = contract.Subject("cm_cgns/align").model(**options).double()  # rounding grows with what a deviation divides

def step(model, seed):
    batch = toy.film_batch(6, seed=seed)
    batch["report_current"][5] = "no edema."
    batch["current"] = batch["current"].double()
    mine = contract.rows(batch, list(range(rank * 6 // world, (rank + 1) * 6 // world)))
    # Buffers are not broadcast: that processes agree on centroids is the method's own doing.
    trained = DistributedDataParallel(model, broadcast_buffers=False) if world > 1 else model
    loss = trained(**mine).loss
    loss.backward()
    return loss.detach()

loss = step(model, 0)
if world > 1:
    distributed.all_reduce(loss)
    loss /= world
tensors = {name: one.grad.clone() for name, one in model.named_parameters()} | {"loss": loss[None]}
model.zero_grad()
step(model, 1)
if rank == 0:
    model.save_pretrained(out.parent / "saved")
if world > 1:
    distributed.barrier()
again = method_class("cm_cgns/align").from_pretrained(out.parent / "saved").train()
for number, one in enumerate((model, again)):
    one.zero_grad()
    step(one, 2)
    if one.centroids is not None:
        tensors[f"centroids {number}"] = one.centroids.table
        tensors[f"filled {number}"] = one.centroids.filled[None]
save_file({name: one.contiguous() for name, one in tensors.items()}, f"{out}.{rank}")
if world > 1:
    distributed.barrier()
    distributed.destroy_process_group()
"""


def run(folder: Path, world: int, options: str) -> list[dict[str, torch.Tensor]]:
    folder.mkdir()
    run_script(PROCESS, folder / "out", world, options)
    return [load_file(f"{folder / 'out'}.{rank}") for rank in range(world)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        "{}",
        "{'image_weight': 0.0, 'text_weight': 0.0, 'word_weight': 1.0, 'token_weight': 1.0}",
        "{'image_weight': 0.0, 'text_weight': 0.0, 'token_weight': 0.7, 'token_form': 'weighted', "
        "'prototype_weight': 0.5, 'prototypes': 12, 'prototype_wait': 0.0, 'text_pool': 'start', 'marks': 'end', "
        "'merge_pieces': True, 'projection': 'mlp_norm', 'text_projection': 'mlp_norm', "
        "'patch_projection': 'mlp_norm', 'word_projection': 'mlp_norm'}",
    ],
)
def test_two_processes_are_one_with_the_joined_batch(options: str, tmp_path: Path) -> None:
    (one,), (first, second) = (run(tmp_path / str(world), world, options) for world in (1, 2))
    for name, tensor in one.items():
        if not name.startswith(("centroids", "filled")):
            assert torch.allclose(tensor, first[name], atol=1e-5 * max(1.0, float(tensor.abs().max())), rtol=0), name
    if options == "{}":
        assert int(first["filled 0"]) == 8
        for name in ("centroids 0", "centroids 1"):
            assert torch.equal(first[name], second[name])
            assert torch.allclose(first[name], one[name], atol=1e-5)
        assert torch.equal(first["centroids 0"], first["centroids 1"])
