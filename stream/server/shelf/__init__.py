"""What the recordings page shows, by HTTP: recordings, and films that are to become some."""
