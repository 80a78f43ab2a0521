"""One live stream: the newest frame in, a painted packet out."""
