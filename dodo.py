"""doit entry point."""
