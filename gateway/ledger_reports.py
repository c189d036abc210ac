"""Reports read from the log."""
