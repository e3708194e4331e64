"""A root tree of a few programs of this host: enough to chroot into, small enough to make in each test."""

import re
import shutil
import subprocess
from pathlib import Path

PROGRAMS = ("sh", "env", "cat", "sleep", "ls", "mkdir", "rm")


def make_tree(tree: Path) -> None:
    """Fill *tree* with the programs and the libraries they need."""
    for name in ("dev", "etc", "proc", "run", "sys", "tmp", "usr/bin", "usr/sbin"):
        (tree / name).mkdir(parents=True)
    (tree / "bin").symlink_to("usr/bin")
    for name in PROGRAMS:
        program = shutil.which(name)
        assert program is not None
        shutil.copy(program, tree / "usr/bin" / name)
        for library in _libraries(program):
            (tree / library).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(f"/{library}", tree / library)


def _libraries(program: str) -> list[str]:
    text = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return re.findall(r"/(\S+\.so\S*) \(", text)
