"""ICE by aioice: where checks go, and how much leaves before somebody answers."""
