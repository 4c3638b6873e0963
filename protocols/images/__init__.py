"""Data sets of images in IDX files, where they are found, and how images that were generated are judged by them."""
