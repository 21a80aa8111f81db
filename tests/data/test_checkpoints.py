"""Foreign weights become safetensors without ever running what a pickle says."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from intervalchange.data.checkpoints import to_safetensors
from intervalchange.errors import SourceError


def test_nested_tensors_survive(tmp_path: Path) -> None:
    weights = {"state_dict": {"a": torch.arange(6.0).reshape(2, 3).T, "b": torch.ones(2)}, "epoch": 3}
    torch.save(weights, tmp_path / "w.pth")
    found = load_file(to_safetensors(tmp_path / "w.pth", tmp_path / "out" / "w.safetensors"))
    assert set(found) == {"state_dict.a", "state_dict.b"}
    assert torch.equal(found["state_dict.a"], weights["state_dict"]["a"])


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(1), "x": Trap(tmp_path / "sprung")}, tmp_path / "a.pth")
    (tmp_path / "b.bin").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    (tmp_path / "c.pt").write_bytes(b"nothing")
    torch.save({"epoch": 1}, tmp_path / "d.ckpt")
    for name in ("a.pth", "b.bin", "c.pt", "d.ckpt"):
        with pytest.raises(SourceError, match="plain tensors"):
            to_safetensors(tmp_path / name, tmp_path / "out.safetensors")
    assert not (tmp_path / "sprung").exists()
    assert not list(tmp_path.glob("out*"))


def test_a_program_is_refused(tmp_path: Path) -> None:
    """TorchScript is code: neither weights nor a module that can be stood in for."""
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        for name in ("data.pkl", "constants.pkl", "version"):
            archive.writestr(f"model/{name}", b"3")
    with pytest.raises(SourceError, match="plain tensors"):
        to_safetensors(tmp_path / "model.pt", tmp_path / "out.safetensors")


def test_what_is_checked_first(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        to_safetensors(tmp_path / "none.pth", tmp_path / "o")
    (tmp_path / "a.pkl").touch()
    with pytest.raises(SourceError, match=r"\.pth"):
        to_safetensors(tmp_path / "a.pkl", tmp_path / "o")
    torch.save({"a": torch.ones(1)}, tmp_path / "a.pt")
    with pytest.raises(SourceError, match="SHA-256"):
        to_safetensors(tmp_path / "a.pt", tmp_path / "o", sha256="00")
