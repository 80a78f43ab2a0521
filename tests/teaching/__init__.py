"""Tests of `stream/teaching/`."""
