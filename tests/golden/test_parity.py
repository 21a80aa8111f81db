"""258 comparisons with golden numbers of the originals, a test each (parity/README.md).

A comparison that is expected to disagree names its fault ("fidelity N.M") or the difference that we declare
("Differs:"). It may disagree and nothing else: an error, another shape or an agreement fails the test.
"""

from __future__ import annotations

import parity_answering
import parity_ekaid
import parity_pairs
import parity_pretraining
import parity_tasks
import pytest
import torch
from parity_golden import CASES, COMPARERS, FOLDER, Case, Disagreement, Held, Value, agree, compared

MODULES = (parity_answering, parity_ekaid, parity_pairs, parity_pretraining, parity_tasks)
COMPARISONS = [
    pytest.param(
        case,
        id=f"{case.file}-{case.name}",
        marks=[pytest.mark.xfail(strict=True, raises=Disagreement, reason=case.reason)] if case.reason else [],
    )
    for case in CASES
]


@pytest.mark.parametrize("case", COMPARISONS)
def test_agrees_with_the_original(case: Case) -> None:
    z, values = compared(case.file)
    agree(z, case.name, values[case.name])


def test_every_file_is_compared() -> None:
    assert sorted(COMPARERS) == sorted(path.stem for path in FOLDER.glob("*.npz"))
    assert {function.__module__ for function in COMPARERS.values()} == {module.__name__ for module in MODULES}
    assert {case.file for case in CASES} == set(COMPARERS)
    assert len({(case.file, case.name) for case in CASES}) == len(CASES) == 258


@pytest.mark.parametrize("file", sorted({case.file for case in CASES if not case.reason}))
def test_a_small_error_would_be_seen(file: str) -> None:
    """One number further off than its tolerance, another integer, a film less: each is a disagreement."""
    z, values = compared(file)
    for case in CASES:
        if case.file != file or case.reason:
            continue
        value = values[case.name]
        held = value if isinstance(value, Held) else None
        got = held.got if held else value
        wrong: torch.Tensor | set[str]
        if isinstance(got, set):
            wrong = set(sorted(got)[1:])
        else:
            assert isinstance(got, torch.Tensor)
            wrong = got.detach().clone(memory_format=torch.contiguous_format)
            flat = wrong.view(-1)
            if wrong.is_floating_point():
                given = held.tolerance if held else None
                tolerance = z.tolerance.get(case.name.partition("@")[0], 0.0) if given is None else given
                flat[0] += 2.5 * tolerance + 1e-6 * float(flat[0].abs()) + 1e-9
            else:
                flat[0] = ~flat[0] if wrong.dtype == torch.bool else flat[0] + 1
        if held:
            changed: Value = Held(wrong, held.want, held.tolerance)
        else:
            assert isinstance(wrong, torch.Tensor)
            changed = wrong
        with pytest.raises(Disagreement):
            agree(z, case.name, changed)


def test_the_table_of_today_has_every_comparison() -> None:
    lines = (FOLDER / "today.md").read_text(encoding="utf-8").splitlines()
    written = [tuple(cell.strip() for cell in line.split("|")[1:-1]) for line in lines if line.startswith("| `")]
    assert [(row[0].strip("`"), row[1], row[4]) for row in written] == [
        (case.file, case.name, case.reason or "agrees") for case in CASES
    ], "write it again: see parity_table.py"


def test_what_cannot_be_told_is_no_agreement() -> None:
    z, _ = compared("mccformers_encoder_d")
    tokens = z.o["tokens"]
    agree(z, "tokens", tokens)
    for wrong in (tokens[:1], tokens[:0], tokens.transpose(0, 1)):
        with pytest.raises(AssertionError, match="shape"):
            agree(z, "tokens", wrong)
    for nothing in (tokens[:0], torch.zeros(3), set[str]()):
        with pytest.raises(AssertionError, match=r"nothing|zeros"):
            agree(z, "tokens", Held(nothing, nothing))
    with pytest.raises(Disagreement):
        agree(z, "tokens", torch.full_like(tokens, torch.nan))
