"""Networks that people have, tried with `whycam export`: `make test-models` writes docs/models.md."""
