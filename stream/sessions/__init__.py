"""One call, and all calls of a server."""
