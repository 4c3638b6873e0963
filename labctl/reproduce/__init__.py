"""What papers published beside what is measured here: every figure, into one report that can be sent to a referee."""
