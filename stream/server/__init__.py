"""HTTP: pages, signalling, authentication, health."""
