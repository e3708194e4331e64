"""A tiny signed repository of RPMs on loopback, made with rpm's own tools, that can be made to misbehave.

with RpmArchive(tmp_path / "archive") as archive:
    archive.add("hello", requires=["world"])
    archive.add("world", scriptlets={"post": 'rpm.execute("true")'})
    archive.add_group("core", mandatory=["hello"])
    archive.publish()
    ... archive.url, archive.key, archive.fingerprint; archive.server.down()

Packages are noarch and their scriptlets Lua, which rpm interprets itself, so a root needs no shell to install them.
"""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests import rpm_texts
from tests.signed_archive import SignedArchive

DATE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
"""Of the metadata, unless `publish` is told another."""


class RpmArchive(SignedArchive):
    """Packages/ and repodata/ below *directory*, served over HTTP at `url`."""

    digest = "SHA256"

    def __init__(self, directory: Path, *, like: "RpmArchive | None" = None) -> None:
        """like: an archive whose key, packages and metadata this one has at first."""
        super().__init__(directory)
        self._user = "archive"
        self._groups: list[str] = []
        self._modules: list[str] = []
        self._like = like

    def _begin(self) -> None:
        if self._like:
            shutil.copytree(self._like.directory, self.directory)
            shutil.copytree(self._like._home, self._home, dirs_exist_ok=True, ignore=shutil.ignore_patterns("S.*"))
            shutil.copy(self._like.key, self.key)
        else:
            (self.directory / "Packages").mkdir(parents=True)
            self.use_new_key(self._user)

    @property
    def key(self) -> Path:
        """The public key that signs now, as text; beside the archive, and in it as `key`."""
        return self.directory.parent / f"{self.directory.name}-{self._user}.asc"

    @property
    def fingerprint(self) -> str:
        """Of `key`, 40 digits."""
        shown = self._gpg("--with-colons", "--list-keys", self._user).decode()
        return next(line.split(":")[9] for line in shown.splitlines() if line.startswith("fpr:"))

    def use_new_key(self, user: str, *, expired: bool = False) -> Path:
        """Sign with a fresh key from now on; its public part.  expired: one of long ago, and as if it were then."""
        self._clock = ["--faked-system-time=20150101T000000!"] if expired else []
        self._gpg("--passphrase", "", "--quick-generate-key", user, "rsa2048", "sign", "1y" if expired else "never")
        self._user = user
        self._gpg("--armor", "--output", self.key, "--export", user)
        shutil.copy(self.key, self.directory / "key")
        return self.key

    def extend_key(self) -> None:
        """Publish the key as its owner does when it would expire: with another date in its signature."""
        self._gpg("--quick-set-expire", self.fingerprint, "5y")
        self._gpg("--armor", "--yes", "--output", self.key, "--export", self._user)
        shutil.copy(self.key, self.directory / "key")

    def add(
        self,
        name: str,
        *,
        version: str = "1.0-1",
        architecture: str = "noarch",
        files: Mapping[str, bytes] | None = None,
        scriptlets: Mapping[str, str] | None = None,
        signed: bool = True,
        **relations: Sequence[str],
    ) -> Path:
        """Put a package in, in place of one of the same name and version.  Its .rpm file.

        version: [epoch:]version-release.  scriptlets: `post` and the like -> Lua.  relations: as `requires=["x >= 1"]`.
        """
        contents = {f"/usr/share/{name}/content": b"example\n"} if files is None else files
        with tempfile.TemporaryDirectory() as work:
            top = Path(work)
            for path, content in contents.items():
                (top / "tree" / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
                (top / "tree" / path.lstrip("/")).write_bytes(content)
            spec = top / "package.spec"
            spec.write_text(rpm_texts.spec(name, version, list(contents), scriptlets or {}, relations))
            topdir, buildroot = f"--define=_topdir {top}", f"--buildroot={top}/root"
            self._run("rpmbuild", "-bb", "--quiet", f"--target={architecture}", topdir, buildroot, spec)
            (built,) = (top / "RPMS").rglob("*.rpm")
            if signed:
                self.sign(built)
            return Path(shutil.move(built, self.directory / "Packages" / built.name))

    def sign(self, *files: Path) -> None:
        """Sign RPM files with the current key."""
        options = (
            "--define=__gpg /usr/bin/gpg",
            f"--define=_gpg_name {self._user}",
            "--define=_gpg_digest_algo sha256",
            f"--define=_gpg_sign_cmd_extra_args {' '.join(['--batch', *self._clock])}",
        )
        self._run("rpmsign", *options, "--addsign", *files)

    def remove(self, name: str) -> None:
        """Take a package away; the metadata still has it until `publish`."""
        for rpm in self.packages(name):
            rpm.unlink()

    def packages(self, name: str) -> list[Path]:
        """The .rpm files of *name*, all versions."""
        return [path for path in self.directory.glob("Packages/*.rpm") if path.name.rsplit("-", 2)[0] == name]

    def add_group(self, name: str, **members: Sequence[str]) -> None:
        """Put a group in comps.xml.  members: `mandatory`, `default`, `optional` -> names of packages."""
        rows = [f'<packagereq type="{kind}">{one}</packagereq>' for kind, names in members.items() for one in names]
        self._groups.append(
            f"<group><id>{name}</id><name>{name.title()}</name><packagelist>{''.join(rows)}</packagelist></group>"
        )

    def add_environment(self, name: str, *groups: str) -> None:
        """Put an environment of *groups* in comps.xml."""
        ids = "".join(f"<groupid>{group}</groupid>" for group in groups)
        self._groups.append(
            f"<environment><id>{name}</id><name>{name.title()}</name><grouplist>{ids}</grouplist></environment>"
        )

    def add_module(self, name: str, stream: str, *packages: Path, default: bool = False) -> None:
        """Make *packages* those of a module's stream, which `publish` tells of."""
        self._modules.append(rpm_texts.module(name, stream, packages, default=default))

    def publish(self, *, date: datetime = DATE, signed: bool = True) -> None:
        """Write the metadata of all packages and groups, and sign it."""
        shutil.rmtree(self.directory / "repodata", ignore_errors=True)
        comps = self.directory.parent / f"{self.directory.name}-comps.xml"
        comps.write_text(f'<?xml version="1.0" encoding="UTF-8"?><comps>{"".join(self._groups)}</comps>')
        stamp = ("--revision", f"{int(date.timestamp())}", "--set-timestamp-to-revision")
        self._run("createrepo_c", "--quiet", "--simple-md-filenames", *stamp, "--groupfile", comps, ".")
        if self._modules:
            modules = self.directory.parent / "modules.yaml"
            modules.write_text("".join(self._modules))
            self._run("modifyrepo_c", "--mdtype=modules", "--simple-md-filenames", modules, "repodata")
        if signed:
            self.sign_metadata()

    def sign_metadata(self) -> None:
        """Sign repomd.xml as it is."""
        repomd = self.directory / self.repomd
        arguments = (
            "--armor",
            "--yes",
            "--local-user",
            self._user,
            "--detach-sign",
            "--output",
            f"{repomd}.asc",
            repomd,
        )
        self._gpg(*arguments)

    @property
    def repomd(self) -> str:
        """Path of what vouches for the rest of the metadata."""
        return "repodata/repomd.xml"

    @property
    def index(self) -> str:
        """Path of the index of packages."""
        return "repodata/primary.xml.gz"

    def flip(self, path: str | Path, *, at: int = -1) -> None:
        """Change one byte of a published file, without signing or indexing it anew."""
        file = self.directory / path
        data = bytearray(file.read_bytes())
        data[at] ^= 1
        file.write_bytes(data)

    def mirrorlist(self, *urls: str, name: str = "mirrorlist") -> str:
        """Publish a list of mirrors; its URL."""
        (self.directory / name).write_text("# mirrors\n" + "".join(f"{url}/\n" for url in urls))
        return f"{self.url}/{name}"

    def metalink(self, *urls: str, sha256: str, name: str = "metalink") -> str:
        """Publish a Metalink of repomd.xml with its hash as *sha256* says; its URL."""
        locations = [f"{url}/{self.repomd}" for url in urls]
        (self.directory / name).write_text(rpm_texts.metalink(locations, sha256))
        return f"{self.url}/{name}"

    def downloads(self, name: str) -> list[str]:
        """The Range header of each request for the package *name*."""
        names = {f"/Packages/{path.name}" for path in self.packages(name)}
        return [span for path, span in self.server.requests if path in names]
