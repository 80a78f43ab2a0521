"""Calls: one session each, and the registry of all."""
