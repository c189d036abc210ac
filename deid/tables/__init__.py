"""Tables of people: read, change, generalise, write."""
