"""QEMU starts this for each connection a guest makes to its metadata service.  Runs alone, without knitter.

It hands the connection, which is its stdin, to knitter, and is gone: no byte passes through here.
"""

import socket
import sys

if __name__ == "__main__":
    with socket.socket(socket.AF_UNIX) as knitter:
        knitter.connect("\0" + sys.argv[1])
        socket.send_fds(knitter, [b"."], [0])
