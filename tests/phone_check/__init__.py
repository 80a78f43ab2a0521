"""A check of the pages that a person runs on a phone: `make test-phone`."""
