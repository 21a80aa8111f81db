"""What the scripts of benchmarks/ share: records, command lines, results files, trials, tables and timing.

Import each name from its module, as in `from harness.trials import Results`; `python benchmarks/SCRIPT.py` finds it.
"""
