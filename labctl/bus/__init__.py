"""Messages between experiments and device servers."""
