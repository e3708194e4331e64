"""What a small archive of packages is, whichever kind: files over HTTP on loopback, and a key that signs them."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from tests.file_server import FileServer


class SignedArchive:
    """Files below *directory*, served at `url` while the block lasts; GnuPG has a home of its own."""

    digest: ClassVar[str]
    """That signatures are made of, as gpg calls it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.server = FileServer(directory)
        self._home = Path(tempfile.mkdtemp(prefix="knit-gpg-"))  # short: gpg-agent's socket has 107 bytes at most
        self._clock: list[str] = []
        """Options that set gpg's clock."""

    def _begin(self) -> None:
        """Make directories and key."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._begin()
        self.server.up()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.server.down()
        self._run("gpgconf", "--kill", "all")
        while self._home.exists():  # gpg-agent removes its sockets meanwhile
            shutil.rmtree(self._home, ignore_errors=True)

    @property
    def url(self) -> str:
        return self.server.url

    def _gpg(self, *arguments: str | Path) -> bytes:
        options = ("--batch", "--quiet", "--pinentry-mode", "loopback", "--digest-algo", self.digest)
        return self._run("gpg", *options, *self._clock, *arguments)

    def _run(self, *argv: str | Path) -> bytes:
        private = {"HOME": str(self._home), "GNUPGHOME": str(self._home)}
        done = subprocess.run(argv, cwd=self.directory, capture_output=True, check=False, env=os.environ | private)
        assert done.returncode == 0, f"{argv}: {done.stderr.decode()}"
        return done.stdout
