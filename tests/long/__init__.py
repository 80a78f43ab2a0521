"""Soak, fuzz and fault tests of `make test-long`; the short form of each is in the suite beside."""
