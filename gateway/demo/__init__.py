"""The demo: a synthetic cohort and the whole story told on it."""
