"""Networks whose inner layers are explained: accuracy, cost and growth of the file, as docs/layers.md shows them."""
