"""What is wrong with this machine, seen from labctl, and what cures it: `labctl doctor`. No instrument is touched."""
