"""The course of findings between two studies, as several layouts tell it: new, resolved, worse, better or stable."""

from __future__ import annotations

from intervalchange.simulation.records import SimulatedStudy
from intervalchange.simulation.reports import direction

NEW, RESOLVED, WORSE, BETTER, STABLE = "new", "resolved", "worse", "better", "stable"
WORDS = (NEW, RESOLVED, WORSE, BETTER, STABLE)


def courses(prior: SimulatedStudy, current: SimulatedStudy) -> dict[str, str]:
    """Finding -> one of `WORDS`, of every finding seen on at least one of the two films."""
    then, now = prior.account.attributes, current.account.attributes
    found = {}
    for finding in dict.fromkeys([*then, *now]):
        if finding in then and finding in now:
            found[finding] = {1: WORSE, 0: STABLE, -1: BETTER}[direction(finding, prior.account, current.account)]
        else:
            found[finding] = NEW if finding in now else RESOLVED
    return found
