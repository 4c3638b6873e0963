"""What solving networks by condensates costs."""
