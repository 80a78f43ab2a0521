"""Tests of the model during a call: another one, and one that is taught."""
