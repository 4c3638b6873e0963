"""The page as a client of its bench: it looks on as an observer, and acts in the role of who asks it to."""
