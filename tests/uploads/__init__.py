"""Tests of stream/uploads."""
