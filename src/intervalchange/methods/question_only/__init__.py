"""The floor as a method: the answer from the question alone. Stage: answer."""
