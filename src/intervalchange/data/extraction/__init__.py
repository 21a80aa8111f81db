"""Report text -> findings with location, type and level -> questions and answers. By rules alone."""

from intervalchange.data.extraction.reading import Statement, extract, statements

__all__ = ["Statement", "extract", "statements"]
