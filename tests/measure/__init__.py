"""Tests of `stream/measure/`."""
