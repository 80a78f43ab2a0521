"""Shared test support: media, clients, servers and small models made in code."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The repository."""
