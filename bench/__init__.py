"""What knitter's speed claims are measured with."""
