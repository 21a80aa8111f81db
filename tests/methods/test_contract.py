"""The contract suite: every question of contract.py, put to every method."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import contract
import pytest
import torch
import toy
from gloo import run_script
from safetensors.torch import load_file

from intervalchange.config import preset_sizes
from intervalchange.data.batch import Batch, collate
from intervalchange.data.dataset import FilmDataset, PairDataset
from intervalchange.data.prepared import Prepared
from intervalchange.training.listing import meta_model

STAGES = [contract.Subject(stage) for stage in contract.STAGES]
SUBJECTS = [pytest.param(stage, id=stage.stage.replace("/", "-")) for stage in STAGES]
Question = Callable[[contract.Subject], None]
ASKED = [
    pytest.param(stage, question, id=f"{stage.stage.replace('/', '-')}-{question.__name__}")
    for stage in STAGES
    for question in (
        *contract.OF_EVERY_STAGE,
        *(contract.OF_ANSWERERS if stage.answers else contract.OF_FILM_STAGES),
    )
]


@pytest.fixture(params=SUBJECTS)
def subject(request: pytest.FixtureRequest) -> contract.Subject:
    return request.param


@pytest.mark.parametrize(("stage", "question"), ASKED)
def test_contract(stage: contract.Subject, question: Question) -> None:
    question(stage)


def test_saved_and_loaded_is_the_same(subject: contract.Subject, tmp_path: Path) -> None:
    contract.saved_and_loaded_is_the_same(subject, tmp_path)


def test_paper_size_builds_without_memory(subject: contract.Subject) -> None:
    """Published sizes are checked method by method; here, that the preset builds at all, and nothing is allocated."""
    for size in preset_sizes(subject.stage):
        model = meta_model(subject.stage, size)
        assert all(parameter.device.type == "meta" for parameter in model.parameters())


PROCESS = """
import sys
sys.path.insert(0, sys.argv[1])
import contract, toy, torch
from safetensors.torch import save_file
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from intervalchange.blocks.projection import BatchNorm
rank, world = int(sys.argv[3]), int(sys.argv[4])
torch.set_num_threads(1)
model = contract.Subject(sys.argv[5]).model()
subject = contract.Subject(sys.argv[5])
batch = subject.batch(6)
if subject.answers:
    batch["findings_prior"][4:] = float("nan")
batch["opacity_current"][3:] = float("nan")
if any(isinstance(module, BatchNorm) for module in model.modules()):
    # Rounding grows with what a deviation divides: what is equal is seen in double precision.
    model = model.double()
    batch["current"] = batch["current"].double()
mine = contract.rows(batch, list(range(rank, 6, world)))
trained = model
if world > 1:
    store = distributed.FileStore(sys.argv[2] + ".store", world)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=world)
    trained = DistributedDataParallel(model)
loss = trained(**mine).loss
loss.backward()
loss = loss.detach()
if world > 1:
    distributed.all_reduce(loss)
    loss /= world
if rank == 0:
    tensors = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    optimiser.step()
    with torch.no_grad():
        facts = contract.numbers(model.eval().validation_outputs(batch))
    save_file({**tensors, "loss": loss[None], "facts": torch.tensor(facts)}, sys.argv[2])
if world > 1:
    distributed.barrier()
    distributed.destroy_process_group()
"""


def processes(stage: str, out: Path, world: int) -> dict[str, torch.Tensor]:
    """Loss, gradients and predictions after one step of a batch that is shared out over gloo processes."""
    run_script(PROCESS, out, world, stage)
    return load_file(out)


@pytest.mark.slow
def test_two_processes_equal_one_with_the_joined_batch(subject: contract.Subject, tmp_path: Path) -> None:
    one, two = (processes(subject.stage, tmp_path / f"{world}.safetensors", world) for world in (1, 2))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        scale = max(1.0, float(tensor.abs().max()))
        assert torch.allclose(tensor, two[name], atol=1e-5 * scale, rtol=0), name


def test_toy_batches_are_what_the_data_gives(tmp_path: Path) -> None:
    prepared = toy.cohort(tmp_path, train=2, val=1, test=1)
    folder, names = Prepared(prepared), tuple(toy.PLACES)
    real = collate([PairDataset(folder, "train", pixels=64)[0]])
    check_alike(real, toy.batch(1))
    check_alike(collate([FilmDataset(folder, "train", pixels=64, labels=names)[0]]), toy.film_batch(1, names=names))


def check_alike(real: Batch, made: Batch) -> None:
    """Every field of the data is in the toy's batch, of the same type and shape."""
    assert set(real.keys()) <= set(made.keys())
    for name, value in real.items():
        if isinstance(value, torch.Tensor):
            assert value.dtype == made[name].dtype, name
            assert value.shape == made[name].shape, name
        else:
            assert type(value) is type(made[name]), name
