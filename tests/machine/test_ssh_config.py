"""What the user is given to log in where knitter does."""

import shlex
import stat
from pathlib import Path

from knitter.machine.keys import new_key
from knitter.machine.ssh import Endpoint
from knitter.machine.ssh_config import write_files


def test_the_users_ssh_command_is_pinned_and_its_key_private(tmp_path: Path) -> None:
    host, key = new_key(), new_key()
    place = tmp_path / "100 % mine"
    place.mkdir()
    command = write_files(place, "debian-12", Endpoint("127.0.0.1", 2222, "admin", host.public), key)
    assert shlex.split(command) == ["ssh", "-F", f"{place}/ssh_config", "debian-12"]
    config = (place / "ssh_config").read_text()
    assert f'UserKnownHostsFile "{tmp_path}/100 %% mine/known_hosts"' in config
    assert "StrictHostKeyChecking yes" in config
    assert (place / "known_hosts").read_text() == f"[127.0.0.1]:2222 {host.public}\n"
    assert (place / "key").read_text() == key.private
    assert stat.S_IMODE((place / "key").stat().st_mode) == 0o600


def test_an_old_host_key_is_taken_only_where_it_is_the_hosts(tmp_path: Path) -> None:
    for kind in ("ed25519", "rsa"):
        (tmp_path / kind).mkdir()
        write_files(tmp_path / kind, "x", Endpoint("127.0.0.1", 2222, "root", new_key(kind).public), new_key())
    assert "ssh-rsa" not in (tmp_path / "ed25519/ssh_config").read_text()
    assert "HostKeyAlgorithms +ssh-rsa" in (tmp_path / "rsa/ssh_config").read_text()


def test_a_way_in_through_a_program_is_the_users_too(tmp_path: Path) -> None:
    endpoint = Endpoint("i-1", 22, "ec2-user", new_key().public, proxy=("aws", "ssm", "start-session", "50%"))
    write_files(tmp_path, "i-1", endpoint, new_key())
    assert "ProxyCommand aws ssm start-session 50%%" in (tmp_path / "ssh_config").read_text()
