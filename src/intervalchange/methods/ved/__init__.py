"""VED: vision encoder-decoder on a published backbone. Stage: answer."""
