"""Film and image files, read and written."""
