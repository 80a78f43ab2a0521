"""Decoded frames made ready: progressive, upright, 8 bits, standard range, square pixels."""
