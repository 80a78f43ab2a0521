"""Soak, fuzz and fault tests of `make test-long`; `make test` runs the short form of each."""
