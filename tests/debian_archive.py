"""A tiny signed Debian archive on loopback, made with Debian's own tools, that can be made to misbehave.

with DebianArchive(tmp_path / "archive") as archive:
    archive.add("hello", depends="libc6")
    archive.publish()
    ... archive.url, archive.suite, archive.keyring; archive.server.down()
"""

import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from tests.signed_archive import SignedArchive

DPKG_ARCHITECTURE = "amd64"


class DebianArchive(SignedArchive):
    """pool/ and dists/ below *directory*, served over HTTP at `url`; one suite, component main."""

    digest = "SHA512"

    def __init__(self, directory: Path, *, suite: str = "tiny") -> None:
        super().__init__(directory)
        self.suite = suite
        self._user = ""

    def _begin(self) -> None:
        (self.directory / "pool").mkdir(parents=True)
        self.use_new_key("archive")

    @property
    def keyring(self) -> Path:
        """The public key that `publish` signs with now, binary."""
        return self.directory.parent / f"{self._user}.gpg"

    def use_new_key(self, user: str) -> Path:
        """Sign with a fresh key from now on; its public part."""
        self._gpg("--passphrase", "", "--quick-generate-key", user, "ed25519", "sign", "never")
        self._user = user
        self._gpg("--output", self.keyring, "--export", user)
        return self.keyring

    def export_armored(self, path: Path) -> None:
        """Write the public key as text."""
        self._gpg("--armor", "--output", path, "--export", self._user)

    def add(
        self,
        name: str,
        *,
        version: str = "1.0",
        architecture: str = "all",
        files: Mapping[str, bytes] | None = None,
        **fields: str,
    ) -> Path:
        """Put a package in the pool; *fields* as in debian/control, `Pre_Depends="..."`.  Its .deb file."""
        deb = self.directory / "pool" / f"{name}_{version.partition(':')[2] or version}_{architecture}.deb"
        with tempfile.TemporaryDirectory() as work:
            tree = Path(work)
            for path, content in (files or {f"usr/share/doc/{name}/copyright": b"example\n"}).items():
                (tree / path).parent.mkdir(parents=True, exist_ok=True)
                (tree / path).write_bytes(content)
            (tree / "DEBIAN").mkdir()
            (tree / "DEBIAN/control").write_text(_control(name, version, architecture, fields))
            self._run("dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, deb)
        return deb

    def remove(self, name: str) -> None:
        """Take a package out of the pool; the index still has it until `publish`."""
        for deb in (self.directory / "pool").glob(f"{name}_*.deb"):
            deb.unlink()

    def publish(
        self, *, date: datetime | None = None, valid_until: datetime | None = None, signed: bool = True
    ) -> None:
        """Write the indices of the pool, and sign them."""
        indices = self.directory / "dists" / self.suite
        binary = indices / f"main/binary-{DPKG_ARCHITECTURE}"
        shutil.rmtree(indices, ignore_errors=True)
        binary.mkdir(parents=True)
        packages = self._run("apt-ftparchive", "--arch", DPKG_ARCHITECTURE, "packages", "pool")
        (binary / "Packages").write_bytes(packages)
        self.sign(date=date, valid_until=valid_until)
        if not signed:
            (indices / "InRelease").unlink()

    def sign(self, *, date: datetime | None = None, valid_until: datetime | None = None) -> None:
        """Sign the indices as they are."""
        indices = self.directory / "dists" / self.suite
        for name in ("Release", "InRelease"):
            (indices / name).unlink(missing_ok=True)
        fields = {"Suite": self.suite, "Codename": self.suite, "Architectures": DPKG_ARCHITECTURE, "Components": "main"}
        words = [f"-oAPT::FTPArchive::Release::{key}={value}" for key, value in fields.items()]
        release = self._run("apt-ftparchive", *words, "release", f"dists/{self.suite}").decode()
        (indices / "Release").write_text(_dated(release, date or datetime.now(UTC), valid_until))
        self._gpg("--local-user", self._user, "--clearsign", "--output", indices / "InRelease", indices / "Release")

    def tamper(self, path: str, old: bytes, new: bytes) -> None:
        """Replace bytes of a published file without signing it anew."""
        file = self.directory / path
        data = file.read_bytes()
        assert old in data
        file.write_bytes(data.replace(old, new))

    @property
    def release(self) -> str:
        """Path of the signed Release file."""
        return f"dists/{self.suite}/InRelease"

    @property
    def index(self) -> str:
        """Path of the index of packages."""
        return f"dists/{self.suite}/main/binary-{DPKG_ARCHITECTURE}/Packages"

    def downloads(self, name: str) -> list[str]:
        """The Range header of each request for the package *name*."""
        return [span for path, span in self.server.requests if path.startswith(f"/pool/{name}_")]


def _control(name: str, version: str, architecture: str, fields: Mapping[str, str]) -> str:
    lines = {
        "Package": name,
        "Version": version,
        "Architecture": architecture,
        "Maintainer": "Nobody <nobody@example.org>",
        "Description": f"{name} of the tests",
        **{key.replace("_", "-").title(): value for key, value in fields.items()},
    }
    return "".join(f"{key}: {value}\n" for key, value in lines.items())


def _dated(release: str, date: datetime, valid_until: datetime | None) -> str:
    kept = [line for line in release.splitlines() if not line.startswith(("Date:", "Valid-Until:"))]
    dates = {"Date": date, **({"Valid-Until": valid_until} if valid_until else {})}
    stamps = [
        f"{key}: {format_datetime(value.astimezone(UTC)).replace('+0000', 'UTC')}" for key, value in dates.items()
    ]
    first = next(n for n, line in enumerate(kept) if line.endswith(":"))  # MD5Sum: and the like come last
    return "\n".join([*kept[:first], *stamps, *kept[first:]]) + "\n"
