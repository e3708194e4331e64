"""What no image may hold, on small trees: each rule finds its thing, and a clean tree passes."""

import io
import tarfile

import pytest

from knitter.distro.scrub import Finding, find_all, scrub

KEY = b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n"
CLEAN = {
    "etc/machine-id": b"",
    "etc/passwd": b"root:x:0:0:root:/root:/bin/bash\nsync:*:4:65534:sync:/bin:/bin/sync\n",
    "etc/shadow": b"root:*:20778:0:99999:7:::\nadmin:!:20778::::::\nsshd:!*:20778::::::\n",
    "etc/ssh/sshd_config": b"#PermitRootLogin yes\nPermitRootLogin prohibit-password\n",
    "etc/apt/sources.list": b"deb [signed-by=/usr/share/keyrings/a.gpg] http://example.org/debian bookworm main\n",
    "usr/share/doc/openssl/example.key": KEY,
    "usr/lib/x/key": KEY,
    "var/log/wtmp": b"",
    "etc/ssl/certs/ca.pem": b"-----BEGIN CERTIFICATE-----\n",
    "usr/lib/systemd/systemd": b"",
}
PACKAGED = ("/.", "/usr", "/usr/share/doc/openssl/example.key", "/lib/x/key", "/etc/ssl/key")


def packed(files: dict[str, bytes], *, links: dict[str, str] | None = None) -> tarfile.TarFile:
    """A tree as a tar, opened for reading."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in files.items():
            member = tarfile.TarInfo(f"./{path}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for path, target in (links or {}).items():
            member = tarfile.TarInfo(f"./{path}")
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    buffer.seek(0)
    return tarfile.open(fileobj=buffer)


def test_a_clean_tree_has_no_findings() -> None:
    links = {"etc/resolv.conf": "../run/systemd/resolve/stub-resolv.conf", "var/lib/dbus/machine-id": "/etc/machine-id"}
    assert find_all(packed(CLEAN, links=links), PACKAGED) == []


@pytest.mark.parametrize(
    ("path", "content", "what"),
    [
        ("etc/ssh/ssh_host_ed25519_key", b"x", "an SSH host key: all instances would share it"),
        ("etc/ssh/ssh_host_rsa_key.pub", b"", "an SSH host key: all instances would share it"),
        ("root/.ssh/authorized_keys", b"ssh-ed25519 AAAA me", "keys that may log in"),
        ("home/admin/.ssh/authorized_keys2", b"", "keys that may log in"),
        ("etc/skel/.ssh/authorized_keys", b"x", "keys that may log in"),
        ("root/.ssh/id_ed25519", b"x", "an SSH key"),
        ("root/.bash_history", b"ls\n", "a history"),
        ("home/admin/.python_history", b"", "a history"),
        ("root/.aws/credentials", b"x", "credentials"),
        ("root/.netrc", b"x", "credentials"),
        ("var/log/dpkg.log", b"x", "a log"),
        ("var/log/apt/term.log", b"x", "a log"),
        ("var/lib/apt/lists/example.org_Packages", b"x", "a package cache"),
        ("var/cache/apt/archives/hello_1_all.deb", b"x", "a package cache"),
        ("var/cache/dnf/baseos/repomd.xml", b"x", "a package cache"),
        ("var/lib/dnf/history.sqlite", b"x", "a history of the package manager"),
        ("var/lib/rpm/__db.001", b"x", "a state of the rpm database"),
        ("etc/yum.repos.d/a.repo", b"[a]\nbaseurl=http://example.org\ngpgcheck=0\n", "a package source"),
        ("var/lib/dhcp/dhclient.eth0.leases", b"x", "a DHCP lease"),
        ("var/lib/cloud/data/instance-id", b"i-0", "state of cloud-init"),
        ("var/lib/systemd/random-seed", b"x", "a secret of one machine"),
        ("etc/udev/rules.d/70-persistent-net.rules", b"x", "names of the builder's devices"),
        ("usr/sbin/policy-rc.d", b"x", "a policy that keeps daemons from starting"),
        ("etc/apt/apt.conf.d/99mmdebstrap", b"x", "a setting of the bootstrap"),
        ("etc/dpkg/dpkg.cfg.d/99mmdebstrap", b"x", "a setting of the bootstrap"),
        ("tmp/left", b"", "a file where there must be none"),
        ("dev/null", b"", "a file where there must be none"),
        ("etc/ssl/private/site.key", KEY, "a private key"),
        ("etc/ssl/key", KEY, "a private key"),
        ("opt/app/config", b"[default]\naws_secret_access_key = wJalrXUtnFEMI/K7MDENG\n", "credentials of AWS"),
        ("etc/ssh/sshd_config.d/10.conf", b"Port 22\n  permitrootlogin YES\n", "root may log in with a password"),
        ("etc/apt/sources.list.d/a.list", b"deb [trusted=yes] http://example.org ./\n", "a package source"),
        ("etc/apt/sources.list.d/b.list", b"deb copy:/tmp/repository ./\n", "a package source"),
        ("etc/apt/sources.list.d/c.sources", b"Types: deb\nTrusted: yes\n", "a package source"),
        ("etc/shadow", b"root:$y$j9T$x:20778::::::\n", "root has a password"),
        ("etc/shadow", b"root:*:1::::::\nguest::1::::::\n", "guest needs no password"),
        ("etc/passwd", b"root::0:0::/root:/bin/sh\n", "root needs no password"),
        ("etc/resolv.conf", b"nameserver 192.0.2.1\n", "must be a link or absent"),
        ("etc/machine-id", b"0123456789abcdef0123456789abcdef\n", "must be an empty file"),
        ("var/lib/dbus/machine-id", b"0123\n", "must be a link or absent"),
    ],
)
def test_each_thing_is_found_by_name(path: str, content: bytes, what: str) -> None:
    found = find_all(packed(CLEAN | {path: content}), PACKAGED)
    assert [one.path for one in found] == [f"/{path}"]
    assert found[0].what.startswith(what)
    assert str(found[0]) == f"scrub: /{path}: {found[0].what}"


def test_a_machine_id_must_be_there_if_systemd_is() -> None:
    files = {path: content for path, content in CLEAN.items() if path != "etc/machine-id"}
    assert [one.path for one in find_all(packed(files), PACKAGED)] == ["/etc/machine-id"]
    del files["usr/lib/systemd/systemd"]
    assert find_all(packed(files), PACKAGED) == []


def test_devices_are_found_unless_a_package_brings_them() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        machine_id, device = tarfile.TarInfo("./etc/machine-id"), tarfile.TarInfo("./opt/pipe")
        device.type = tarfile.FIFOTYPE
        archive.addfile(machine_id)
        archive.addfile(device)
    buffer.seek(0)
    with tarfile.open(fileobj=buffer) as archive:
        assert find_all(archive, ()) == [Finding("/opt/pipe", "a device or pipe")]
        assert find_all(archive, ("/opt/pipe",)) == []


def test_findings_are_sorted_and_all_told() -> None:
    found = find_all(packed(CLEAN | {"root/.viminfo": b"", "home/a/.ssh/authorized_keys": b""}), PACKAGED)
    assert [one.path for one in found] == ["/home/a/.ssh/authorized_keys", "/root/.viminfo"]


def test_the_day_of_the_last_password_change_is_the_epochs() -> None:
    assert scrub("", epoch=86400 * 20000 + 5).argv[-1] == "20000"
