"""A method and a preset, trained by transformers.Trainer into a run folder that can repeat itself."""

from intervalchange.training.listing import Stage, list_stages, print_stages
from intervalchange.training.stage import train

__all__ = ["Stage", "list_stages", "print_stages", "train"]
