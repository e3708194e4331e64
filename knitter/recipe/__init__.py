"""What is wanted.  Pure: reads recipe files, knows nothing of how they are built."""
