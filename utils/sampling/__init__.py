"""Sparse sampling: which cubes of a large dataset are worth taking, and taking them."""
