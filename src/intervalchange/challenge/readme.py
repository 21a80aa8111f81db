"""The page of a challenge: what its repository says to those who take part."""

from __future__ import annotations

from intervalchange.challenge.commitment import Challenge
from intervalchange.policy import RESEARCH_USE

_PAGE = """\
# {name}

What has changed between two chest radiographs? A challenge on a cohort that does not exist yet.
The films are simulated: not a ranking on patients.
{notice}

- **Commitment** (SHA-256): `{commitment}`
- **Cohort**: {patients} patients, films of {pixels} pixels, style {style}, prevalence {prevalence}
- **Simulator**: intervalchange {version}
- **Entries close**: {closes}

## Take part

    intervalchange challenge enter . RUN --name NAME

adds the SHA-256 of your run folder to `entries.csv`; send the line as a pull request. Keep the run as it is:
after the reveal the same command says whether it is the one that was entered.

## After the reveal

The organiser publishes `revealed.json`. Anyone makes the same cohort from it, and scores:

    intervalchange challenge reveal .
    intervalchange prepare {layout} cohort prepared --pixels {pixels}
    intervalchange predict RUN --data prepared --controls --out NAME.jsonl
    intervalchange score *.jsonl --out results.md

`challenge reveal` refuses a seed that is not the committed one, other options and another simulator. The results
table is `results.md`.
"""


def readme(challenge: Challenge) -> str:
    """The page in Markdown."""
    cohort = challenge.cohort
    return _PAGE.format(
        name=challenge.name,
        notice=RESEARCH_USE,
        commitment=challenge.commitment,
        patients=cohort.patients,
        pixels=cohort.pixels,
        style=cohort.style,
        prevalence=cohort.prevalence,
        layout=cohort.layout,
        version=challenge.simulator.version,
        closes=f"at the end of {challenge.closes} (UTC)" if challenge.closes else "when the seed is revealed",
    )
