"""A guest that booted and let knitter in, or the reason why it did not."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from knitter.errors import KnitterError
from knitter.machine.keys import Key, new_key
from knitter.machine.ssh import Endpoint, Ssh, UnansweredError, wait_ssh
from knitter.progress import say
from knitter.recipe.boot import Check
from knitter.vm import console, qemu

ADDRESS: Final = "127.0.0.1"
TAIL: Final = 25
"""Console lines an error shows."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """The key pairs of one guest."""

    host: Key | None
    """Its host key, which it is given; None if it makes its own."""
    user: Key
    """Logs in."""


def new_secrets(check: Check) -> Secrets:
    """Fresh ones, for one guest."""
    return Secrets(None, new_key("rsa")) if check.host_key == "own" else Secrets(new_key(), new_key())


def plan_user_data(host: Key | None) -> bytes:
    """cloud-config that gives the guest its SSH host key, if there is one.  JSON is YAML."""
    if host is None:
        return b""
    config = {"ssh_keys": {"ed25519_private": host.private, "ed25519_public": host.public}}
    return f"#cloud-config\n{json.dumps(config)}\n".encode()


def plan_endpoint(guest: qemu.Guest, user: str, secrets: Secrets) -> Endpoint:
    """Where *guest* lets *user* in."""
    return Endpoint(ADDRESS, guest.ssh_port, user, secrets.host.public if secrets.host else "")


class Watch:
    """Looks after a guest while somebody waits for it: tells what it does, and notices when it is lost."""

    def __init__(self, guest: qemu.Guest, *, name: str, log: Path) -> None:
        self._guest = guest
        self.name = name
        self._log = log

    def __call__(self) -> None:
        """Say the last console line.  Raises KnitterError if the guest ended, or will never get further."""
        lines = console.read(self._guest.console, TAIL)
        if lines:
            say(f"{self.name}: {lines[-1]}")
        if self._guest.code is not None:
            raise self.failure(f"{self.name} powered off, or QEMU ended (exit code {self._guest.code})")
        if sign := console.find_sign(lines):
            raise self.failure(f"{self.name} does not boot: {sign}")

    def failure(self, brief: str, *, details: str = "", hint: str = "") -> KnitterError:
        """The error *brief*, with what stood on the console."""
        lines = console.read(self._guest.console, TAIL)
        text = "\n".join(f"  {line}" for line in lines) or "  (nothing)"
        parts = (details, self._guest.complaint, f"console:\n{text}", f"whole console: {self._guest.console}")
        return KnitterError(brief, details="\n".join([*filter(None, parts), f"log: {self._log}"]), hint=hint)


@contextmanager
def lease(endpoint: Endpoint, key: Key, *, watch: Watch, seconds: float) -> Iterator[Ssh]:
    """The guest's machine, as soon as it lets knitter in; *seconds* it has.  Raises KnitterError."""
    try:
        machine = wait_ssh(endpoint, key, deadline=time.monotonic() + seconds, meanwhile=watch)
    except UnansweredError as error:
        raise watch.failure(
            f"{watch.name} did not answer SSH within {seconds:.0f} s",
            details=error.details,
            hint="the image needs an SSH server, a network by DHCP, and something that installs the key EC2 offers "
            "(cloud-init, or an init script); on a slow host raise check.timeout of the recipe",
        ) from error
    try:
        yield machine
    finally:
        machine.close()
