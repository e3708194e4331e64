"""What a surrogate is told at its first boot, and how its end is put off."""

import json

from knitter.machine.keys import new_key
from knitter.surrogate.user_data import plan_user_data, push_back


def test_it_has_its_own_host_key_lets_one_key_in_and_ends_itself() -> None:
    host, client = new_key(), new_key()
    first, second = plan_user_data(host, client, seconds=3600).splitlines()
    config = json.loads(second)
    assert first == "#cloud-config"
    assert config["ssh_keys"] == {"ed25519_private": host.private, "ed25519_public": host.public}
    assert config["ssh_authorized_keys"] == [client.public]
    [deadline] = config["bootcmd"]
    assert deadline[-2:] == ["knitter-deadline-0", "3600"]
    assert "systemctl poweroff" in deadline[3]
    assert client.private not in second


def test_the_new_deadline_is_armed_before_the_old_one_is_stopped() -> None:
    text = push_back(3, seconds=1800)
    assert text.argv[-2:] == ("knitter-deadline-3", "1800")
    assert text.stdin.index(b"systemd-run") < text.stdin.index(b"systemctl stop")
