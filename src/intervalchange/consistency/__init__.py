"""The consistency suite: any model, ours or another's, asked the same pair in several ways."""
