"""Images: generation, restoration, and how they are judged."""
