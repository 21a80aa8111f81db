"""Reusable network parts."""
