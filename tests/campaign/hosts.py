"""A lab whose machines are SSH servers of this host: `python -m tests.campaign.hosts DIRECTORY [--port N]`.

A machine is sshd at the instance's address, with the keys of its user data, in a namespace of its own in which
/dev/disk/by-id has a link for each volume that is plugged in.  It is on within half a second and boots nothing: its
root volume is never opened.  All of it ends with power_off, and with the lab however that ends: see machine/namespace.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from knitter.command import command
from knitter.errors import KnitterError
from knitter.lab.__main__ import main
from knitter.lab.blocks import copy_sparse
from knitter.lab.guests import CONSOLE
from knitter.lab.machines import SSH_PORT, Architecture, Disk, Spec
from knitter.machine import tools
from knitter.machine.keys import new_key
from knitter.machine.local import Running
from knitter.machine.namespace import lease

LIMIT: Final = 20.0
"""Seconds until sshd listens; on a busy host it takes one."""
IMPOSTOR: Final = "t3.nano"
"""A host of this type presents a key of its own, not the one that it was given."""
BY_ID: Final = "nvme-Amazon_Elastic_Block_Store_"
"""How udev names an EBS volume; its serial follows."""
_SERVE: Final = """
set -eu
mkdir -p /dev/disk/by-id /run/sshd
mount --bind "$2/by-id" /dev/disk/by-id
exec "$1" -D -e -f "$2/sshd_config" 2>> "$2/console.log"
"""
_CONFIG: Final = """
ListenAddress {address}:{port}
HostKey {directory}/host_key
AuthorizedKeysFile {directory}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
SetEnv PATH={directory}/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME={directory}
"""
"""HOME: what a user of this host has in its ~/.bashrc is none of a host's business, and may take a minute."""
_STAND_IN: Final = """#!/bin/sh
echo "$(basename "$0") $*" >> {console}
"""


class Hosts:
    """Makes hosts; their files lie below *directory*, the lab's."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "hosts"
        self._sshd = tools.find("sshd")
        assert self._sshd, "apt install openssh-server"

    def check(self, architecture: Architecture) -> None:
        if architecture == "arm64":
            raise KnitterError("there are no arm64 hosts")

    def machine(self, spec: Spec, ended: Callable[[], None]) -> "Host":
        return Host(spec, self._directory / spec.id, str(self._sshd), ended)


class Host:
    """One host."""

    def __init__(self, spec: Spec, directory: Path, sshd: str, ended: Callable[[], None]) -> None:
        self._spec = spec
        self._directory = directory
        self._sshd = sshd
        self._ended = ended
        self._serving: Running | None = None
        self._failure: KnitterError | None = None
        self._asked = threading.Event()
        self._ready = threading.Event()
        # One thread owns it: the kernel ends what a thread started when that thread ends.
        self._owner = threading.Thread(target=self._live, name=spec.id, daemon=True)

    def power_on(self) -> None:
        self._owner.start()
        self._ready.wait()
        if self._failure:
            raise self._failure

    def _live(self) -> None:
        try:
            self._install()
            for disk in self._spec.disks:
                if disk.format == "raw":
                    self.attach(disk)
            with lease(self._directory, memory=0) as machine:
                serve = command("sh", "-c", _SERVE, "sh", self._sshd, self._directory)
                self._serving = machine.start(serve)
                self._wait_listening(self._serving)
                self._ready.set()
                self._serving.wait()
        except (KnitterError, OSError, ValueError, KeyError) as error:
            self._failure = KnitterError(f"the host does not start: {error!r}")
        self._ready.set()
        if not self._asked.is_set() and self._failure is None:
            self._ended()

    def _install(self) -> None:
        """The files of a host, from its user data: JSON after the line `#cloud-config`."""
        config = json.loads(self._spec.user_data.decode().removeprefix("#cloud-config"))
        directory = self._directory
        for folder in (directory / "by-id", directory / "bin"):
            folder.mkdir(parents=True)
        (directory / "host_key").touch(0o600)
        given = config["ssh_keys"]["ed25519_private"]
        (directory / "host_key").write_text(new_key().private if self._spec.type == IMPOSTOR else given)
        (directory / "authorized_keys").write_text("".join(f"{key}\n" for key in config["ssh_authorized_keys"]))
        told = _CONFIG.format(address=self._spec.address, port=SSH_PORT, directory=directory)
        (directory / "sshd_config").write_text(told)
        for name in ("systemd-run", "systemctl"):
            (directory / "bin" / name).write_text(_STAND_IN.format(console=self._console))
            (directory / "bin" / name).chmod(0o755)

    def _wait_listening(self, serving: Running) -> None:
        deadline = time.monotonic() + LIMIT
        while True:
            with suppress(OSError):
                socket.create_connection((self._spec.address, SSH_PORT), timeout=1).close()
                return
            if serving.code is not None or time.monotonic() > deadline:
                raise KnitterError(
                    f"sshd does not listen at {self._spec.address}: {self.console().decode()}{serving.tail}"
                )
            time.sleep(0.02)

    def power_off(self, *, gently: bool) -> None:
        self._asked.set()
        if self._serving:
            self._serving.stop()
        if self._owner.is_alive():
            self._owner.join()

    def reboot(self) -> None:
        raise KnitterError("hosts do not reboot")

    def attach(self, disk: Disk) -> None:
        (self._directory / "by-id" / f"{BY_ID}{disk.serial}").symlink_to(disk.path)

    def detach(self, disk: Disk) -> None:
        """As a guest does: the device is gone at once, but the volume is let go only when nobody holds it open."""
        (self._directory / "by-id" / f"{BY_ID}{disk.serial}").unlink(missing_ok=True)
        while is_open(disk.path):
            if self._asked.wait(0.05):
                raise KnitterError("the host went off")

    def copy(self, disk: Disk, target: Path) -> Iterator[float]:
        if disk.format != "raw":
            raise KnitterError("hosts know raw files only")
        yield 0.0
        yield from copy_sparse(disk.path, target)

    def console(self) -> bytes:
        with suppress(FileNotFoundError):
            return self._console.read_bytes()[-CONSOLE:]
        return b""

    @property
    def _console(self) -> Path:
        return self._directory / "console.log"


def is_open(path: Path) -> bool:
    """Whether a process of this host has *path* open."""
    wanted = path.stat()
    return any(_same(descriptor, wanted) for descriptor in Path("/proc").glob("[0-9]*/fd/*"))


def _same(descriptor: Path, wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(descriptor.stat(), wanted)
    except OSError:  # closed meanwhile
        return False


if __name__ == "__main__":
    main(Hosts)
