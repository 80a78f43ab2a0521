"""The recordings: on the phone page before and after a call, on their own page, and films that are dropped."""
