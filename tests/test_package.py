"""The public face: every name resolves, and importing the package imports nothing else."""

from __future__ import annotations

import subprocess
import sys
from importlib import resources

import pytest

import intervalchange as ic
from intervalchange import errors


@pytest.mark.parametrize("name", ic.__all__)
def test_every_name_resolves(name: str) -> None:
    value = getattr(ic, name)
    assert callable(value) and value.__name__ == name
    assert name in dir(ic)


def test_all_is_complete() -> None:
    known = {name for names in ic._MODULES.values() for name in names}
    assert sorted(known) == sorted(ic.__all__)
    raised = {name for name, value in vars(errors).items() if isinstance(value, type)}
    raised = {name for name in raised if issubclass(getattr(errors, name), errors.IntervalChangeError)}
    assert raised <= set(ic.__all__)


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        _ = ic.lod  # type: ignore[attr-defined]


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import intervalchange; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert [name for name in loaded if name.startswith("intervalchange")] == ["intervalchange"]
    assert not {name.split(".")[0] for name in loaded} & {"numpy", "torch", "pandas", "yaml", "rich"}


def test_its_types_are_for_others_too() -> None:
    assert (resources.files("intervalchange") / "py.typed").is_file()
