"""Networks, and the program that is solved on them."""
