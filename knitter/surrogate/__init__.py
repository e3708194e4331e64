"""HOW A DISK REACHES A VOLUME: an instance of the cloud writes it, told over SSH.

program      what runs on the instance: writes blocks, reads them back, acknowledges
device       which device of the instance is the volume
compression  whether it pays
write        the disk goes over, whatever becomes of the connection
"""
