"""The lab's process: `python -m knitter.lab DIRECTORY [--port N]`.  Ends on SIGTERM, or with its directory."""

import argparse
import fcntl
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from knitter.lab import service
from knitter.lab.guests import Guests
from knitter.lab.machines import Machines
from knitter.lab.tally import FILE, Tally

# Before moto is imported: it reads these once.  Without the first, 1,301 invented images (facts: aws.md section 2).
_MOTO = {
    "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
    "MOTO_ENABLE_AMI_VALIDATION": "1",
    "MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION": "1",
    "MOTO_ENABLE_KEYPAIR_VALIDATION": "1",
    "MOTO_ALLOW_NONEXISTENT_REGION": "1",
}


def main(machines: Callable[[Path], Machines] = Guests) -> None:
    """Serve until SIGTERM; *machines* makes, from the lab's directory, what runs the instances."""
    parser = argparse.ArgumentParser(prog="python -m knitter.lab", description="The embedded cloud.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--port", type=int, default=0, help="0: the one it had last time, else any")
    arguments = parser.parse_args()
    directory = arguments.directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "serving").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"a lab is already serving {directory}")
        serve(directory, arguments.port, machines(directory), lambda: os.fstat(lock.fileno()).st_nlink > 0)
    os._exit(0)  # all is on disk; to take moto's modules apart would take two seconds more


def serve(directory: Path, port: int, machines: Machines, wanted: Callable[[], bool]) -> None:
    """Serve *directory*, which nobody else does, until SIGTERM.

    port: 0: the one it had last time, else any.  wanted: False once the directory was removed: nobody could find this
    lab any more, to use or to stop it.
    """
    os.environ.update(_MOTO)
    # ruff: noqa: PLC0415 (moto reads its environment when it is imported)
    from moto.iam.models import get_account_id_from

    from knitter.lab.corrections import correct
    from knitter.lab.direct import Direct
    from knitter.lab.ledger import Ledger
    from knitter.lab.rack import Rack
    from knitter.lab.server import Server

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    ledger = Ledger(directory)
    rack = Rack(ledger, machines)
    correct(ledger, rack)
    tally = Tally(os.environ.get(FILE, ""))
    server = Server(port or service.last_port(directory), Direct(ledger), get_account_id_from, tally, wanted)

    def stop(_: int, __: FrameType | None) -> None:
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    service.announce(directory, server.endpoint)
    try:
        server.serve_forever()
    finally:
        rack.close()
        service.retract(directory)
        with ledger.guard:
            ledger.close()


if __name__ == "__main__":
    main()
