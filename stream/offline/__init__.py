"""Films and images explained from file to file."""
