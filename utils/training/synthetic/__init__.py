"""Drawing of synthetic training patches: scenes without cells, tissue, ruined patches. Only training imports it."""
