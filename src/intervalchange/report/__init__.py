"""The HTML pages: one base template, and the page of answers."""
