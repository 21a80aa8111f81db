"""score: the metrics of one or several answer files, with floors and intervals."""
