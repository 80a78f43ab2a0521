"""Where a classifier comes from: a file or a name, and what its framework says of it."""
