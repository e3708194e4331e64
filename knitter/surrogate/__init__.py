"""THE SURROGATE: an EC2 instance of our own for a while, which writes a disk to an empty volume.

user_data    what it is told at its first boot
power        starts one, logs in, puts its end off
pool         the surrogates of one run, shared by its recipes
ledger       what must not outlive the run
device       which of its disks is the volume
program      what runs on it: writes blocks, reads them back, acknowledges; `examine` looks first whether it may
compression  whether it pays
write        the disk goes over, whatever becomes of the connection
work         all of it: from a disk in a file to a volume that holds it
"""
