"""FFA-CL: fourteen findings, aligned with words, on a graph. Stages: classify, answer."""
