"""Run as a script by `checkpoints.to_safetensors`: argv is a checkpoint to open weights-only and a file to write."""

import sys
from collections.abc import Iterator, Mapping

import torch
from safetensors.torch import save_file


def tensors(node: object, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor under a node, with its dotted name."""
    if isinstance(node, torch.Tensor):
        yield name, node.detach().clone().contiguous()
    elif isinstance(node, Mapping):
        for key, child in node.items():
            yield from tensors(child, f"{name}.{key}" if name else str(key))


def main() -> None:
    by_name = dict(tensors(torch.load(sys.argv[1], map_location="cpu", weights_only=True)))
    if not by_name:
        sys.exit("no tensors")
    save_file(by_name, sys.argv[2])


if __name__ == "__main__":
    main()
