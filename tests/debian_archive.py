"""A tiny signed Debian archive on loopback, made with Debian's own tools, that can be made to misbehave.

with DebianArchive(tmp_path / "archive") as archive:
    archive.add("hello", depends="libc6")
    archive.publish()
    ... archive.url, archive.suite, archive.keyring
"""

import shutil
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote

DPKG_ARCHITECTURE = "amd64"


class DebianArchive:
    """pool/ and dists/ below *directory*, served over HTTP at `url`; one suite, component main."""

    def __init__(self, directory: Path, *, suite: str = "tiny") -> None:
        self.directory = directory
        self.suite = suite
        self.requests: list[tuple[str, str]] = []
        """(path, Range header or "") of each request, in order."""
        self.cut: dict[str, int] = {}
        """Path -> bytes after which the connection dies, once."""
        self.ranges = True
        """Whether the server honours Range."""
        self._key_home = Path(tempfile.mkdtemp(prefix="knit-gpg-"))  # short: gpg-agent's socket has 107 bytes at most
        self._server: _Server | None = None
        self._port = 0
        self._user = ""

    def __enter__(self) -> Self:
        (self.directory / "pool").mkdir(parents=True)
        self.use_new_key("archive")
        self.up()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.down()
        self._run("gpgconf", "--homedir", self._key_home, "--kill", "all")
        shutil.rmtree(self._key_home)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

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

    def up(self) -> None:
        """Serve, at the same port as before."""
        self._server = _Server(("127.0.0.1", self._port), self)
        self._port = self._server.server_address[1]

    def down(self) -> None:
        """Answer no more."""
        if self._server:
            self._server.stop()
            self._server = None

    def downloads(self, name: str) -> list[str]:
        """The Range header of each request for the package *name*."""
        return [span for path, span in self.requests if path.startswith(f"/pool/{name}_")]

    def _gpg(self, *arguments: str | Path) -> None:
        options = ("--batch", "--quiet", "--pinentry-mode", "loopback", "--digest-algo", "SHA512")
        self._run("gpg", "--homedir", self._key_home, *options, *arguments)

    def _run(self, *argv: str | Path) -> bytes:
        done = subprocess.run(argv, cwd=self.directory, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], archive: DebianArchive) -> None:
        super().__init__(address, _Handler)
        self.archive = archive
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is none."""


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10
    server: _Server

    def do_GET(self) -> None:
        archive = self.server.archive
        span = self.headers.get("Range", "")
        archive.requests.append((self.path, span))
        path = archive.directory / unquote(self.path).lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        start = int(span.removeprefix("bytes=").rstrip("-")) if span and archive.ranges else 0
        self._send(data, start, cut=archive.cut.pop(self.path, None))

    def _send(self, data: bytes, start: int, *, cut: int | None) -> None:
        if start >= len(data) > 0:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self.wfile.write(data[start:cut])
        if cut is not None:
            self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        """Say nothing: `requests` has it."""


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
