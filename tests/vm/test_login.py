"""What a guest is given so that knitter can log in, and what the user is given to do so."""

import json
import shlex
import stat
from pathlib import Path

from knitter.machine.keys import new_key
from knitter.machine.ssh import Endpoint
from knitter.vm.login import Secrets, plan_user_data, write_files


def test_user_data_is_cloud_config_with_the_host_key() -> None:
    host = new_key()
    first, second = plan_user_data(host).decode().splitlines()
    assert first == "#cloud-config"
    assert json.loads(second) == {"ssh_keys": {"ed25519_private": host.private, "ed25519_public": host.public}}


def test_keys_are_fresh_and_do_not_show_themselves() -> None:
    one, other = new_key(), new_key()
    assert one.public != other.public
    assert one.public.startswith("ssh-ed25519 ")
    assert "PRIVATE" not in repr(Secrets(one, other))


def test_the_users_ssh_command_is_pinned_and_its_key_private(tmp_path: Path) -> None:
    secrets = Secrets(new_key(), new_key())
    place = tmp_path / "100 % mine"
    place.mkdir()
    command = write_files(place, "debian-12", Endpoint("127.0.0.1", 2222, "admin", secrets.host.public), secrets)
    assert shlex.split(command) == ["ssh", "-F", f"{place}/ssh_config", "debian-12"]
    config = (place / "ssh_config").read_text()
    assert f'UserKnownHostsFile "{tmp_path}/100 %% mine/known_hosts"' in config
    assert "StrictHostKeyChecking yes" in config
    assert (place / "known_hosts").read_text() == f"[127.0.0.1]:2222 {secrets.host.public}\n"
    assert (place / "key").read_text() == secrets.user.private
    assert stat.S_IMODE((place / "key").stat().st_mode) == 0o600
