"""PLURAL: a two-stream encoder-decoder. Stages: findings, impression, answer."""
