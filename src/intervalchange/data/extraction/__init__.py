"""Report text -> findings with place, type and grade -> questions and answers. By rules alone."""

from intervalchange.data.extraction.reading import Statement, extract, statements

__all__ = ["Statement", "extract", "statements"]
