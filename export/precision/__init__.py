"""Models in half precision and in 8 bits."""
