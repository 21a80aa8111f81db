"""HTML pages: the shared template and stylesheet (`page`), and the page of one or more answers (`answer`)."""
