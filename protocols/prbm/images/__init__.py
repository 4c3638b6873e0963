"""Images: data, generation, restoration, and how they are judged."""
