"""Debian's packages go in, signed repositories come out."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from knitter.cache import Cache
from tests.synthetic import debs, grub2, spec
from tests.synthetic.debs import Deb, run
from tests.synthetic.shape import KERNEL, Repository, Shape
from tests.synthetic.slices import Slice, cut, put

USER: Final = "Synthetic distribution <synthetic@example.org>"
KEY: Final = "key.asc"
"""The public key, armored."""
FINGERPRINT: Final = "fingerprint"
GNUPG: Final = "gnupg"
"""The secret key's home: a test may sign more."""
WWW: Final = "www"
"""What is served."""


def build(shape: Shape, cache: Cache, folder: Path, work: Path) -> None:
    """Make the distribution in *folder*, an empty directory.  work: to be made, and the caller's to remove."""
    _make_key(folder)
    tree = work / "tree"
    unpacked, made = _lay(shape, cache, folder, tree)
    _compile(tree)
    older, *newer = _kernels(unpacked)
    slices = _aligned(shape, cut(shape, [one for one in unpacked if one not in newer], tree, made))
    maker = _Maker(shape, tree, work)
    _sort(shape, maker.make(slices.values(), release="1", kernel=older), folder / WWW)
    for one in newer:
        slices = _aligned(shape, {**slices, shape.kernel: cut(shape, [one], tree, {})[shape.kernel]})
    for repository, names in shape.newer.items():
        some = [slices[name] for name in names]
        for rpm in maker.make(some, release="2", kernel=(newer or [older])[-1]):
            _place(rpm, folder / WWW / shape.repositories[repository].path)
    _publish(shape, folder)


def _lay(shape: Shape, cache: Cache, folder: Path, tree: Path) -> tuple[list[Deb], dict[str, str]]:
    """Fill *tree*; the packages that were unpacked, and path -> package of what is made here."""
    packages = debs.resolve("bookworm", shape.debian)
    wanted = [one for one in packages if shape.rpm_of(one.name) or one.name == "locales"]
    debs.bring(wanted, cache)
    unpacked = debs.unpack(wanted, cache, tree)
    made = {**_locales(shape, tree), **_key_file(shape, folder, tree)}
    if shape.grub2:
        made |= grub2.lay(tree, cache, tree.with_name("grub2"))
    return unpacked, made


def _make_key(folder: Path) -> None:
    """A key as old distributions have, whose home must have a short path: gpg-agent's socket has 107 bytes."""
    with _short_home() as home:
        _gpg(home, "--passphrase", "", "--quick-generate-key", USER, "rsa2048", "sign", "never")
        (folder / KEY).write_text(_gpg(home, "--armor", "--export"))
        found = re.search(r"^fpr:+([0-9A-F]{40}):", _gpg(home, "--with-colons", "--list-keys"), re.MULTILINE)
        assert found is not None
        (folder / FINGERPRINT).write_text(found[1])
        run("gpgconf", "--homedir", home, "--kill", "all")
        shutil.copytree(home, folder / GNUPG, ignore=shutil.ignore_patterns("S.*"))


@contextmanager
def _short_home() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="knit-gpg-"))
    try:
        yield home
    finally:
        run("gpgconf", "--homedir", home, "--kill", "all")
        while home.exists():  # gpg-agent removes its sockets meanwhile
            shutil.rmtree(home, ignore_errors=True)


def _gpg(home: Path, *arguments: str | Path) -> str:
    options = ("--batch", "--quiet", "--pinentry-mode", "loopback", "--digest-algo", "SHA256")
    return run("gpg", "--homedir", home, *options, *arguments)


def _locales(shape: Shape, tree: Path) -> dict[str, str]:
    """Compile the shape's locales into *tree*; path -> package."""
    made = {}
    for name in shape.locales:
        path = f"/usr/lib/locale/{name}.utf8"
        sources = {**os.environ, "I18NPATH": f"{tree}/usr/share/i18n"}
        run("localedef", "--no-archive", "-i", name, "-f", "UTF-8", f"{tree}{path}", env=sources)
        files = [one for one in Path(f"{tree}{path}").rglob("*") if one.is_file()]
        made |= {f"/{one.relative_to(tree)}": "glibc-common" for one in files}
    return made


def _key_file(shape: Shape, folder: Path, tree: Path) -> dict[str, str]:
    path = f"/etc/pki/rpm-gpg/{Path(shape.key).name}"
    put(tree, path, folder / KEY)
    return {path: shape.release_package}


def _compile(tree: Path) -> None:
    """Write byte code with the Python that will read it: without it each start takes seconds more."""
    loader = (tree / "usr/lib64/ld-linux-x86-64.so.2", "--library-path", tree / "usr/lib/x86_64-linux-gnu")
    options = ("-q", "-j2", "-s", tree, "-p", "/", "--invalidation-mode", "unchecked-hash")
    home = {**os.environ, "PYTHONHOME": f"{tree}/usr"}
    libraries = [tree / "usr/lib" / name for name in ("python3", "python3.11")]
    run(*loader, tree / "usr/bin/python3.11", "-m", "compileall", *options, *libraries, env=home)


def _kernels(unpacked: Sequence[Deb]) -> list[Deb]:
    """The packages with a kernel, the oldest first."""
    found = [one for one in unpacked if KERNEL.match(one.name)]
    return sorted(found, key=lambda one: [int(number) for number in re.findall(r"\d+", one.version)])


def _aligned(shape: Shape, slices: dict[str, Slice]) -> dict[str, Slice]:
    """*slices* with the versions that belong together."""
    return {name: replace(one, version=slices[shape.versions.get(name, name)].version) for name, one in slices.items()}


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes packages of what lies in *tree*."""

    shape: Shape
    tree: Path
    work: Path

    def make(self, slices: Iterable[Slice], *, release: str, kernel: Deb) -> list[Path]:
        """The packages *slices*; what `uname -r` says is in the name of *kernel*."""
        lists, top, file = self.work / f"lists-{release}", self.work / release, self.work / f"{release}.spec"
        for one in (lists, top):
            one.mkdir(parents=True)
        found = KERNEL.match(kernel.name)
        assert found is not None
        file.write_text(spec.text(self.shape, slices, lists, release=release, kernel=found["uname"]))
        options = ("--noclean", "--nodeps", "--quiet", "--buildroot", self.tree, "--define", f"_topdir {top}")
        run("rpmbuild", "-bb", *options, file)
        return sorted(top.glob("RPMS/*/*.rpm"))


def _sort(shape: Shape, rpms: Iterable[Path], www: Path) -> None:
    """Each into its repository."""
    first = next(iter(shape.repositories))
    for rpm in rpms:
        found = (
            repository
            for repository, patterns in shape.placed.items()
            if any(fnmatchcase(rpm.name.rsplit("-", 2)[0], pattern) for pattern in patterns)
        )
        _place(rpm, www / shape.repositories[next(found, first)].path)


def _place(rpm: Path, repository: Path) -> None:
    (repository / "Packages").mkdir(parents=True, exist_ok=True)
    rpm.rename(repository / "Packages" / rpm.name)


def _publish(shape: Shape, folder: Path) -> None:
    """Sign the packages, and write and sign the metadata."""
    www = folder / WWW
    with _short_home() as home:
        shutil.copytree(folder / GNUPG, home, dirs_exist_ok=True)
        sign(home, sorted(www.rglob("*.rpm")))
        for repository in shape.repositories.values():
            _index(shape, repository, www, home)
    (www / shape.key).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(folder / KEY, www / shape.key)


def sign(home: Path, rpms: Sequence[Path]) -> None:
    """Sign *rpms* with the key in *home*."""
    words = {"__gpg": "/usr/bin/gpg", "_gpg_name": USER, "_gpg_digest_algo": "sha256"}
    defines = [word for name, value in words.items() for word in ("--define", f"{name} {value}")]
    run("rpmsign", *defines, "--addsign", *rpms, env={**os.environ, "GNUPGHOME": str(home)})


def _index(shape: Shape, repository: Repository, www: Path, home: Path) -> None:
    directory = www / repository.path
    directory.mkdir(parents=True, exist_ok=True)
    groups = [f"--groupfile={shape.parts()[-1] / repository.comps}"] if repository.comps else []
    run("createrepo_c", "--quiet", "--checksum=sha256", *groups, directory)
    if repository.signed:
        _gpg(home, "--armor", "--detach-sign", directory / "repodata/repomd.xml")
