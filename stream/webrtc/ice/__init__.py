"""ICE with aioice: which candidates are checked, and how much is sent before an address is validated."""
