"""The routes of the model: which one it is, and what it is taught."""
