"""What is done on any bench, whatever experiment it is for."""
