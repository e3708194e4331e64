"""What a guest is given so that knitter can log in."""

import json

from knitter.machine.keys import new_key
from knitter.recipe.boot import Check
from knitter.vm.login import Secrets, new_secrets, plan_user_data


def test_user_data_is_cloud_config_with_the_host_key() -> None:
    host = new_key()
    first, second = plan_user_data(host).decode().splitlines()
    assert first == "#cloud-config"
    assert json.loads(second) == {"ssh_keys": {"ed25519_private": host.private, "ed25519_public": host.public}}


def test_who_makes_its_own_host_key_is_given_none_and_a_key_that_old_servers_know() -> None:
    own = new_secrets(Check(host_key="own"))
    assert own.host is None
    assert own.user.public.startswith("ssh-rsa ")
    assert plan_user_data(own.host) == b""
    given = new_secrets(Check())
    assert given.host is not None
    assert given.user.public.startswith("ssh-ed25519 ")


def test_keys_are_fresh_and_do_not_show_themselves() -> None:
    one, other = new_key(), new_key()
    assert one.public != other.public
    assert one.public.startswith("ssh-ed25519 ")
    assert "PRIVATE" not in repr(Secrets(one, other))
