"""Metadata of RPM repositories, fetched, verified, and laid out for dnf to read from disk.

    url, mirrorlist, metalink --> a mirror's repomd.xml, signed if the recipe says so --> indices, by hash --> directory

dnf never sees the network: what it reads was resumed, verified and judged here, as packages are.
"""

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from knitter.cache import Cache
from knitter.command import command
from knitter.distro.redhat import refusals, repodata
from knitter.distro.redhat.dnf import Source, filled, place_of
from knitter.errors import KnitterError
from knitter.fetch import Download, fetch
from knitter.machine.local import Local
from knitter.recipe.redhat import RedhatPackages, RedhatRepository
from knitter.resolve.place import Place
from knitter.resolve.small import read
from knitter.units import MIB, parse_duration

_LIMIT: Final = 16 * MIB
"""Bytes of a repomd.xml or a list of mirrors."""
_KEEP: Final = parse_duration("14d")
"""Seconds that an index stays without being used."""


class Reader:
    """Reads the repositories of one recipe."""

    def __init__(self, wanted: RedhatPackages, keyring: bytes, place: Place) -> None:
        self._wanted = wanted
        self._place = place
        self._keyring = place.directory / "keyring.gpg"
        self._keyring.write_bytes(keyring)
        self._indices = Cache(place.cache.directory / "metadata")

    def read(self, repository: RedhatRepository) -> Source:
        """The metadata of *repository*, on disk.  Raises KnitterError if no mirror has it whole and good."""
        errors: list[tuple[str, KnitterError]] = []
        mirrors = self._mirrors(repository)
        for base in mirrors.bases:
            try:
                return self._read(repository, base, mirrors.sha256)
            except KnitterError as error:
                errors.append((base, error))
        raise refusals.refused_mirrors(repository.id, errors)

    def prune(self) -> None:
        """Remove indices that nobody used for a while."""
        self._indices.prune(before=time.time() - _KEEP)

    def _mirrors(self, repository: RedhatRepository) -> repodata.Mirrors:
        if repository.source == "url":
            return repodata.Mirrors((place_of(repository, self._wanted),))
        url = filled(getattr(repository, repository.source), self._wanted)
        data = self._fetch(url)
        parse = repodata.parse_metalink if repository.source == "metalink" else repodata.parse_mirrorlist
        try:
            return parse(data)
        except ValueError as error:
            raise refusals.refused_index(repository.id, url, str(error)) from None

    def _read(self, repository: RedhatRepository, base: str, hashes: frozenset[str]) -> Source:
        url = f"{base}/{repodata.REPOMD}"
        data = self._fetch(url)
        if hashes and hashlib.sha256(data).hexdigest() not in hashes:
            raise refusals.refused_hash(repository.id, base)
        if repository.signed_metadata:
            self._verify(repository, base, data)
        try:
            repomd = repodata.parse_repomd(data)
            kept = repodata.trimmed(data, repomd.indices)
        except ValueError as error:
            raise refusals.refused_index(repository.id, url, f"its repomd.xml: {error}") from None
        directory = self._lay_out(repository, base, repomd.indices, kept)
        return Source(repository.id, place_of(repository, self._wanted), base, directory, repomd.date)

    def _verify(self, repository: RedhatRepository, base: str, data: bytes) -> None:
        """Raise KnitterError unless one of the recipe's keys signed *data*."""
        signed = self._place.directory / "repomd.xml"
        signature = signed.with_name("repomd.xml.asc")
        signed.write_bytes(data)
        signature.write_bytes(self._fetch(f"{base}/{repodata.SIGNATURE}"))
        options = ("--homedir", self._place.directory, "--keyring", self._keyring, "--status-fd", "1")
        done = Local().run(command("gpgv", *options, signature, signed), log=self._place.log, check=False)
        if error := refusals.refused_signature(repository.id, done.text):
            raise error

    def _lay_out(
        self, repository: RedhatRepository, base: str, indices: tuple[repodata.Index, ...], repomd: bytes
    ) -> Path:
        """The directory that holds the repository's metadata and nothing else."""
        fetch(
            list(self._downloads(repository, base, indices)),
            self._indices,
            parallel=self._place.downloads,
            mirrors=self._place.mirrors,
            what=f"fetching the index of {repository.id}",
        )
        directory = self._place.directory / "repositories" / repository.id
        (directory / "repodata").mkdir(parents=True, exist_ok=True)
        (directory / repodata.REPOMD).write_bytes(repomd)
        for one in indices:
            held = self._indices.verified(one.sha256)
            os.utime(held)
            (directory / one.name).unlink(missing_ok=True)
            (directory / one.name).symlink_to(held.absolute())
        return directory

    def _downloads(
        self, repository: RedhatRepository, base: str, indices: tuple[repodata.Index, ...]
    ) -> Iterator[Download]:
        for one in indices:
            name = f"the index {one.kind} of {repository.id}"
            yield Download(name, f"{base}/{one.href}", one.sha256, one.size, vouched="its repomd.xml")

    def _fetch(self, url: str) -> bytes:
        return read(url, self._place, limit=_LIMIT)
