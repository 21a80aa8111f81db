"""The change score where people already evaluate and train: one small module for each package of others.

Their packages are imported by the module that needs them, never by this one; each is an extra of the same name.
"""
