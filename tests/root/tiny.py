"""A root tree of a few programs of this host: enough to chroot into, small enough to make in each test."""

import re
import shutil
import subprocess
from pathlib import Path

PROGRAMS = ("sh", "env", "cat", "sleep", "ls", "mkdir", "rm")
SPEC = """
%global debug_package %{{nil}}
%global __os_install_post %{{nil}}
%global _build_id_links none
Name: programs
Version: 1.0
Release: 1
Summary: programs of the tests
License: none
AutoReqProv: no
%description
%{{summary}}
%files -f {files}
"""


def make_tree(tree: Path, *more: str) -> None:
    """Fill *tree* with the programs, *more* of them too, and the libraries they need."""
    for name in ("dev", "etc", "proc", "run", "sys", "tmp", "usr/bin", "usr/sbin"):
        (tree / name).mkdir(parents=True)
    (tree / "bin").symlink_to("usr/bin")
    for name in (*PROGRAMS, *more):
        program = shutil.which(name)
        assert program is not None
        shutil.copy(program, tree / "usr/bin" / name)
        for library in _libraries(program):
            (tree / library).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(f"/{library}", tree / library)


def _libraries(program: str) -> list[str]:
    text = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return re.findall(r"/(\S+\.so\S*) \(", text)


def package_tree(tree: Path, work: Path) -> Path:
    """*tree* as the RPM `programs`, unsigned.  work: a new directory."""
    work.mkdir()
    rows = [f"{'%dir ' * one.is_dir()}/{one.relative_to(tree)}" for one in tree.rglob("*") if not one.is_symlink()]
    links = [f"/{one.relative_to(tree)}" for one in tree.rglob("*") if one.is_symlink()]
    (work / "files").write_text("\n".join([*rows, *links]) + "\n")
    (work / "spec").write_text(SPEC.format(files=work / "files"))
    argv = ["rpmbuild", "-bb", "--quiet", "--noclean", f"--define=_topdir {work}", f"--buildroot={tree}", work / "spec"]
    subprocess.run(argv, check=True, capture_output=True)
    (built,) = work.glob("RPMS/*/*.rpm")
    return built
