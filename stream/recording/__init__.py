"""Recordings on disk: written, repaired, kept, read."""
