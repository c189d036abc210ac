"""How each format is searched for leaks; ``deid.leakcheck`` is the door."""
