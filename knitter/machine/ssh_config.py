"""What a user's own ssh needs to log in where knitter does: a key, the pinned host key, and a configuration."""

import os
import shlex
from pathlib import Path
from typing import Final

from knitter.machine.keys import Key
from knitter.machine.ssh import Endpoint

_OLD: Final = {"HostKeyAlgorithms": "+ssh-rsa", "PubkeyAcceptedAlgorithms": "+ssh-rsa"}
"""A server whose only key is RSA may be so old that it signs with SHA-1, which today's ssh takes only if told so."""


def write_files(directory: Path, name: str, endpoint: Endpoint, key: Key) -> str:
    """Write them into *directory*.  Gives the command that logs in; scp takes its -F, too."""
    secret, known_hosts, config = (directory / file for file in ("key", "known_hosts", "ssh_config"))
    with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(key.private)
    known_hosts.write_text(f"[{endpoint.address}]:{endpoint.port} {endpoint.host_key}\n")
    options = {
        "HostName": endpoint.address,
        "Port": endpoint.port,
        "User": endpoint.user,
        "IdentityFile": _quoted(secret),
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": _quoted(known_hosts),
        "StrictHostKeyChecking": "yes",
        **(_OLD if endpoint.host_key.startswith("ssh-rsa ") else {}),
        **({"ProxyCommand": shlex.join(endpoint.proxy).replace("%", "%%")} if endpoint.proxy else {}),
    }
    lines = [f"Host {name}", *(f"    {option} {value}" for option, value in options.items())]
    config.write_text("\n".join(lines) + "\n")
    return shlex.join(["ssh", "-F", str(config), name])


def _quoted(path: Path) -> str:
    """As ssh_config(5) wants it; a per cent sign begins a token there."""
    return f'"{path}"'.replace("%", "%%")
