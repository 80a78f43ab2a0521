"""Everything at run time: explain, overlay, live sessions, recordings, files. Knows nothing of `export` or Keras."""
