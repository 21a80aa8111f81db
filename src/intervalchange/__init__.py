"""Difference visual question answering on longitudinal chest X-rays. Research use only; not a medical device."""

__version__ = "0.1.0"
