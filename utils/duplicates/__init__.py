"""Near-duplicates across datasets, and leaks of excluded images: embeddings, search, verification on pixels."""
