"""Records: everything that one stage writes and another reads, typed and versioned, in both directions."""
