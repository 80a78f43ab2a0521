"""What is in an image file besides its pixels, and pixels of more than 8 bits."""
