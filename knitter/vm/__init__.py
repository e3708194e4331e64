"""A machine of our own: QEMU guests that see what EC2 would show them."""
