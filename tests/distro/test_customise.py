"""Texts and commands that customise a root."""

from knitter.distro import customise, debian_customise
from knitter.distro.apt import Source
from knitter.recipe.model import System

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def lines(system: System) -> list[str]:
    return [str(one) for one in customise.plan_accounts(system)]


def test_hosts_names_this_host_unless_it_is_localhost() -> None:
    assert "127.0.1.1" not in debian_customise.hosts("localhost")
    assert "127.0.1.1\tweb.example.org web\n" in debian_customise.hosts("web.example.org")
    assert "127.0.1.1\tweb\n" in debian_customise.hosts("web")


def test_sources_are_signed_by_the_images_own_keyring() -> None:
    sources = [
        Source("http://example.org/debian", "bookworm", ("main", "contrib")),
        Source("http://example.org/flat", "./", ()),
    ]
    assert debian_customise.sources_list(sources, KEYRING) == (
        f"deb [signed-by={KEYRING}] http://example.org/debian bookworm main contrib\n"
        f"deb [signed-by={KEYRING}] http://example.org/flat ./\n"
    )


def test_users_come_before_the_files_they_own() -> None:
    system = System.model_validate(
        {
            "users": ({"name": "app", "uid": 1500, "groups": ("adm",), "sudo": True},),
            "files": ({"path": "/srv/app", "owner": "app", "mode": "0750"},),
        }
    )
    user, sudo, owner, mode = lines(system)
    assert user == (
        "useradd --user-group --create-home --uid 1500 --groups adm --home-dir /home/app --shell /bin/bash app"
    )
    assert sudo.endswith(" app")
    assert (owner, mode) == ("chown --no-dereference app:root /srv/app", "chmod 0750 /srv/app")


def test_system_accounts_get_no_home() -> None:
    (command,) = lines(System.model_validate({"users": ({"name": "daemon1", "system": True, "home": "/var/empty"},)}))
    assert command == "useradd --user-group --system --home-dir /var/empty --shell /bin/bash daemon1"


def test_no_password_is_ever_given() -> None:
    (command,) = lines(System.model_validate({"users": ({"name": "app"},)}))
    assert "password" not in command


def test_services_are_planned_only_if_there_are_any() -> None:
    assert list(customise.plan_units(System(), ())) == []
    system = System.model_validate(
        {"services": {"apt-daily.timer": "masked", "ssh.service": "enabled", "getty@tty1.service": "disabled"}}
    )
    assert [str(one) for one in customise.plan_units(system, system.services)] == [
        "systemctl enable ssh.service",
        "systemctl disable getty@tty1.service",
        "systemctl mask apt-daily.timer",
    ]
