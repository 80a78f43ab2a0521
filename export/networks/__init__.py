"""The networks for which whycam makes model files."""
