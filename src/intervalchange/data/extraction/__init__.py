"""Report text -> findings with place, type and grade -> questions and answers. Rules only, the same answer every time."""

from intervalchange.data.extraction.reading import Statement, extract, statements

__all__ = ["Statement", "extract", "statements"]
