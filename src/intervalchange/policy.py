"""What holds everywhere: the research-use notice, and which simulated cohorts are for evaluation only."""

RESEARCH_USE = "Research use only; not a medical device."
"""On every page, table, help text and answer."""

EVALUATION_SEED = 900_000
"""Simulated cohorts with this seed or a larger one are for evaluation only: `train` refuses them."""
