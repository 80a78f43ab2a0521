"""Every state of the pages in every size, language and theme."""
