"""Teaching classes of one's own on the pages."""
