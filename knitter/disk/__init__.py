"""How a disk is cut and filled, by offsets in a plain file: no loop device, no mount, no udev."""
