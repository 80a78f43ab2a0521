"""The networks that whycam itself turns into model files."""
