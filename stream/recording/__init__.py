"""Recordings on disk: writing, repairing, retaining and reading them."""
