"""Handwritten digits on the cells of a bench's sheet, learnt in situ by light, beside the equation alone."""
