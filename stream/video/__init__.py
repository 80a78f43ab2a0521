"""Pixels and encoded video: the planes of a frame, H.264 and VP8, the live encoder."""
