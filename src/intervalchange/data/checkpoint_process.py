"""Run as a script by `checkpoints.to_safetensors`: argv is a checkpoint to open and a file to write.

It is opened weights-only. A whole module that was pickled (torchxrayvision), or a configuration beside the weights
(GLoRIA), needs classes that weights-only refuses; such a file is opened once more by an unpickler that finds nothing
but what rebuilds a tensor, and puts a class that does nothing (`StandIn`) for the classes of the libraries that wrote
it (`STAND_INS`). No module is imported for a pickle and none of its code runs; any other name is refused.
"""

import pickle
import sys
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from safetensors.torch import save_file

STAND_INS = (
    "argparse",
    "collections",
    "lightning",
    "lightning_fabric",
    "numpy",
    "omegaconf",
    "pathlib",
    "pytorch_lightning",
    "torch",
    "torchvision",
    "torchxrayvision",
    "typing",
)
"""Packages whose classes may be named in a file of weights; the class itself is never looked up."""
PLAIN = {"bool", "bytes", "complex", "dict", "float", "int", "list", "object", "set", "str", "tuple"}
"""Names of `builtins` that may be there too."""
REBUILD = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "Size"): torch.Size,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
    ("torch._utils", "_rebuild_tensor"): torch._utils._rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
}


class StandIn:
    """In place of any other class: takes what a pickle gives it, keeps its state, does nothing."""

    dump_patches = False

    def __new__(cls, *_: object, **__: object) -> "StandIn":
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        if isinstance(state, Mapping):
            self.__dict__.update(state)

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def __hash__(self) -> int:
        return id(self)

    def append(self, value: object) -> None:
        """Nothing."""

    def extend(self, values: object) -> None:
        """Nothing."""


class Unpickler(pickle.Unpickler):
    """Finds what rebuilds tensors, stand-ins, and nothing else."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) in REBUILD:
            return REBUILD[module_name, global_name]
        if module_name == "torch" and isinstance(getattr(torch, global_name, None), torch.dtype):
            return getattr(torch, global_name)
        if module_name.split(".")[0] in STAND_INS or (
            module_name in ("builtins", "__builtin__") and global_name in PLAIN
        ):
            return StandIn
        raise pickle.UnpicklingError(f"{module_name}.{global_name} is not part of any weights")


class Restricted:
    """What `torch.load` takes for the module pickle."""

    __name__ = "restricted"
    Unpickler = Unpickler
    UnpicklingError = pickle.UnpicklingError

    @staticmethod
    def load(file: Any, **options: Any) -> Any:
        """As `pickle.load`."""
        return Unpickler(file, **options).load()


def _holds_a_program(path: str) -> bool:
    """Whether it is a TorchScript archive, which torch would hand to its compiler."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("constants.pkl") for name in archive.namelist())


def opened(path: str) -> object:
    """What a checkpoint holds; weights-only where that is enough."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        if tarfile.is_tarfile(path) or _holds_a_program(path):
            raise
        return torch.load(path, map_location="cpu", weights_only=False, pickle_module=Restricted())


def tensors(node: object, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor under a node, with its dotted name; a pickled module has the names of its state dict."""
    if isinstance(node, torch.Tensor):
        yield name, node.detach().clone().contiguous()
        return
    if isinstance(node, StandIn):
        parts = [node.__dict__.get(part) for part in ("_parameters", "_buffers", "_modules")]
        node = {key: child for part in parts if isinstance(part, Mapping) for key, child in part.items()}
    if isinstance(node, Mapping):
        for key, child in node.items():
            yield from tensors(child, f"{name}.{key}" if name else str(key))


def main() -> None:
    by_name = dict(tensors(opened(sys.argv[1])))
    if not by_name:
        sys.exit("no tensors")
    save_file(by_name, sys.argv[2])


if __name__ == "__main__":
    main()
