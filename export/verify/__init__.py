"""Checks a model file against references that share no code with it."""
