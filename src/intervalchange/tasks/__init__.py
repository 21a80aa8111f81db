"""What an encoder is good for: stages over films that put a small head on any encoder of the project."""
