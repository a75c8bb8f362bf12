"""Scores of patches: networks, their weights, and what becomes of the patches."""
