"""Texts and services of the RPM family."""

from knitter.distro.redhat import customise
from knitter.recipe.model import System


def shown(system: System) -> list[str]:
    return [str(one) for one in customise.plan_services(system)]


def test_init_scripts_are_chkconfigs_and_units_systemctls() -> None:
    services = {"sshd.service": "enabled", "getsshkey": "enabled", "iptables": "disabled"}
    planned = shown(System.model_validate({"services": services}))
    assert planned[:-1] == [
        "systemctl enable sshd.service",
        "chkconfig --add getsshkey",
        "chkconfig getsshkey on",
        "chkconfig --add iptables",
        "chkconfig iptables off",
    ]


def texts(*, systemd: bool) -> dict[str, str]:
    """Path -> text of each file that is written."""
    system = System.model_validate(
        {"hostname": "web.example.org", "locale": "ja_JP.UTF-8", "timezone": "Asia/Tokyo", "selinux": "disabled"}
    )
    planned = customise.plan_system(system, systemd=systemd)
    return {
        one.argv[4]: one.stdin.decode() for one in planned if len(one.argv) == 6 and one.argv[2].startswith("mkdir")
    }


def test_texts_are_where_the_release_looks_for_them() -> None:
    new, old = texts(systemd=True), texts(systemd=False)
    assert new["/etc/hostname"] == "web.example.org\n"
    assert new["/etc/locale.conf"] == "LANG=ja_JP.UTF-8\n"
    assert new["/etc/hosts"] == old["/etc/hosts"]
    assert "127.0.1.1\tweb.example.org web\n" in old["/etc/hosts"]
    assert old["/etc/sysconfig/network"] == "NETWORKING=yes\nHOSTNAME=web.example.org\n"
    assert old["/etc/sysconfig/i18n"] == 'LANG="ja_JP.UTF-8"\n'
    assert old["/etc/sysconfig/clock"] == 'ZONE="Asia/Tokyo"\n'
    assert not {"/etc/hostname", "/etc/locale.conf"} & old.keys()
