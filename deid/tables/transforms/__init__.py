"""What may be done to a table, one transform a file; each says which technique of GB/T 37964-2019 it is.

The standard's Annex A lists the common techniques by family: statistical, cryptographic, suppression, pseudonymisation,
generalisation, randomisation, synthetic data. The annex itself was not at hand: family and technique are named after
notes on it, and what the notes do not list says which family it is nearest to. Transforms are pure functions: which of
them a column gets is ``deid.tables.changing``'s, how high a hierarchy is climbed is the search's.
"""
