"""Films that were uploaded to a server: received, explained one after the other, and put beside the recordings."""
