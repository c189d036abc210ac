"""Writing the ledger: entries become bundles, tiles, a size row and a signed checkpoint, in that order."""
