"""What people see. Each module is one view: a class that builds it, refreshes it, and says when it is left."""
