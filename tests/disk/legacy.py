"""GRUB 0.97 for small roots."""

import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

PACKAGES = ("grub-legacy", "libc6-i386")
STAGES = ("stage1", "stage2", "e2fs_stage1_5")


@cache
def legacy() -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Files and programs of GRUB 0.97, from Debian's package, where EL 6 keeps them."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        subprocess.run(
            ["apt-get", "--quiet", "--option=APT::Sandbox::User=root", "download", *PACKAGES], cwd=folder, check=True
        )
        for path in folder.glob("*.deb"):
            subprocess.run(["dpkg-deb", "--extract", path, folder / "root"], check=True)
        stages = folder / "root/usr/lib/grub/x86_64-pc"
        files = {f"usr/share/grub/x86_64-redhat/{one}": (stages / one).read_bytes() for one in STAGES}
        libraries = next(path for path in (folder / "root/lib32", folder / "root/usr/lib32") if path.is_dir())
        programs = {f"lib32/{one}": (libraries / one).read_bytes() for one in ("libc.so.6", "ld-linux.so.2")}
        programs["lib/ld-linux.so.2"] = programs["lib32/ld-linux.so.2"]
        programs["sbin/grub"] = (folder / "root/usr/sbin/grub").read_bytes()
    return files, programs
