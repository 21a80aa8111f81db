"""What the process that opens foreign checkpoints will find for a pickle, and what it will not."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from io import BytesIO

import pytest
import torch

from intervalchange.data.checkpoint_process import StandIn, Unpickler, tensors

FIND = Unpickler(BytesIO()).find_class


@pytest.mark.parametrize(
    ("module", "name"),
    [("os", "system"), ("posix", "mkdir"), ("subprocess", "Popen"), ("builtins", "eval"), ("builtins", "getattr")],
)
def test_what_is_part_of_no_weights_is_refused(module: str, name: str) -> None:
    with pytest.raises(pickle.UnpicklingError, match=f"{module}.{name}"):
        FIND(module, name)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("torch.hub", "load"),
        ("torch", "hub.load"),
        ("torch", "load"),
        ("torchxrayvision.models", "DenseNet"),
        ("omegaconf.dictconfig", "DictConfig"),
        ("numpy.core.multiarray", "scalar"),
        ("__builtin__", "set"),
    ],
)
def test_a_class_of_the_writers_libraries_is_stood_in_for(module: str, name: str) -> None:
    assert FIND(module, name) is StandIn


def test_what_rebuilds_tensors_is_found() -> None:
    assert FIND("torch", "float16") is torch.float16
    assert FIND("collections", "OrderedDict") is OrderedDict
    assert FIND("torch._utils", "_rebuild_tensor_v2") is torch._utils._rebuild_tensor_v2


def test_a_stand_in_has_the_names_of_a_state_dict() -> None:
    inner, outer = StandIn("any", argument=1), StandIn()
    inner.__setstate__({"_parameters": {"weight": torch.ones(2), "bias": None}, "_buffers": {"mean": torch.zeros(1)}})
    outer.__setstate__({"_modules": {"features": inner}, "training": True})
    found = dict(tensors(outer))
    assert found.keys() == {"features.weight", "features.mean"}
