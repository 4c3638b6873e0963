"""What devices measure, on its way to browsers: the newest only, reduced here, and read only while somebody looks."""
