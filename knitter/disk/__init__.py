"""How a disk is cut: all of it by offsets in a plain file, without loop devices, mounts or udev.

geometry     where each partition lies and what its ids are                 pure
partition    the partition table                                            sfdisk
tree         questions to the unpacked root, and files put into it
fstab        what is mounted where                                          pure
grub_config  the texts that GRUB and update-grub read                       pure
grub         GRUB, with the image's own programs, into the tree
embed        GRUB's BIOS images into the first sectors
filesystem   each file system gets its part of the tree: ext4, vfat, swap          mke2fs, debugfs, mkfs.vfat, mtools
image        the disk while it is being made: a plain file
blocks       the finished disk: its non-zero blocks, hashed and copied
"""
