"""The corridor: packages -> rootfs -> disk -> boot -> snapshot -> ami.  Each stage knows only the stages before it."""
