"""One live stream: encoded frames in, painted and encoded frames out."""
