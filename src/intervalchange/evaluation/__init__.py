"""From prediction files to numbers; no torch."""
