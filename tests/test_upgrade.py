"""The image lives on as any Debian: upgraded, its menu and its loaders made anew by its own tools, it still boots."""

import shlex
import subprocess
import time

import pytest

from knitter.stages import guest
from knitter.stages.guest import Firmware
from tests.desk import Desk

pytestmark = pytest.mark.boot
_UPGRADE = """
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q -y upgrade
apt-get -q -y --reinstall install grub-cloud-amd64
update-grub
cat /proc/sys/kernel/random/boot_id
"""


@pytest.mark.parametrize("firmware", ["uefi"])
def test_it_still_boots_after_an_upgrade(debian: Desk, firmware: Firmware) -> None:
    with guest.keep(debian.site.build("debian-12"), firmware=firmware) as session:
        ssh = [*shlex.split(session.ssh_command), "-o", "ConnectTimeout=5"]

        def run(script: str) -> subprocess.CompletedProcess[str]:
            argv = [*ssh, "sudo", "sh", "-s"]
            return subprocess.run(argv, input=script, capture_output=True, text=True, timeout=600, check=False)

        upgraded = run(_UPGRADE)
        assert upgraded.returncode == 0, upgraded.stdout + upgraded.stderr
        before = upgraded.stdout.split()[-1]
        run("systemctl reboot")
        deadline = time.monotonic() + 600
        while (found := run("cat /proc/sys/kernel/random/boot_id").stdout.strip()) in ("", before):
            assert time.monotonic() < deadline, session.console.read_text(errors="replace")[-3000:]
            time.sleep(2)
        assert found
        assert run("systemctl is-system-running --wait").stdout.strip() == "running"
        options = debian.site.build("debian-12").recipe.boot.arguments
        assert options in run("cat /proc/cmdline").stdout
