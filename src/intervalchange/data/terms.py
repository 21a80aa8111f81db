"""What the terms of the data sets forbid."""

from __future__ import annotations

from pathlib import Path

from intervalchange.data.prepared import Prepared
from intervalchange.errors import ConfigError

RESTRICTED = (
    *("mimic_cxr", "mimic_diff_vqa", "imagenome", "ms_cxr", "ms_cxr_t", "vindr", "chexpert"),
    *("chextemporal", "mmxu", "mi_cxr", "temmed_bench"),
)
"""Sources whose terms forbid handing films to others (PhysioNet's credentialed licence and Stanford's agreement)."""


def refuse_third_parties(prepared: Prepared, where: str | Path, remedy: str) -> None:
    """Raise ConfigError where the terms of the films forbid to show them to a model on somebody else's server.

    Simulated films in the layout of such a source are nobody's. where: who would see them. remedy: how to say that the
    server is one's own.
    """
    source = str(prepared.manifest.get("source"))
    if source in RESTRICTED and not prepared.manifest.get("simulated"):
        raise ConfigError(f"the terms of {source} forbid sending its films to others.", where=where, remedy=remedy)
