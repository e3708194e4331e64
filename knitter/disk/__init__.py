"""How a disk is cut: all of it by offsets in a plain file, without loop devices, mounts or udev.

geometry     where each partition and volume lies and what its ids are      pure
partition    the partition table                                            sfdisk
tree         questions to the unpacked root, and files put into it
fstab        what is mounted where                                          pure
kernels      what there is to start in the root
grub         GRUB 2, with the image's own programs, into the tree; what families of distributions do differently is in
             grub_debian and grub_redhat, what they share in grub_config (texts, pure) and grub_family (the seam)
embed        GRUB 2's BIOS images into the first sectors
grub_legacy  GRUB 0.97: into the tree, and by its own shell onto the filled disk
filesystem   each file system gets its part of the tree: ext4, vfat, swap          mke2fs, debugfs, mkfs.vfat, mtools
lvm          physical volume and volume group, written byte by byte
image        the disk while it is being made: a plain file
blocks       the finished disk: its non-zero blocks, hashed and copied
"""
