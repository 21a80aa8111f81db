"""EKAID: anatomy-guided graphs of two films. Stage: answer."""
