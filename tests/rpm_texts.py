"""Texts that rpm and dnf read: what a package is made from, and what a repository says of itself."""

from collections.abc import Mapping, Sequence
from pathlib import Path

RELATIONS = ("requires", "provides", "recommends", "conflicts", "obsoletes")


def metalink(urls: Sequence[str], sha256: str) -> str:
    """A Metalink of the repomd.xml at *urls*."""
    rows = "".join(f'<url protocol="http" preference="100">{url}</url>' for url in urls)
    return (
        '<?xml version="1.0" encoding="utf-8"?><metalink version="3.0" xmlns="http://www.metalinker.org/">'
        f'<files><file name="repomd.xml"><verification><hash type="sha256">{sha256}</hash></verification>'
        f"<resources>{rows}</resources></file></files></metalink>"
    )


def module(name: str, stream: str, packages: Sequence[Path], *, default: bool) -> str:
    """A module's stream that holds *packages*, RPM files, for platform el9."""
    artifacts = "".join(f"      - {nevra(path)}\n" for path in packages)
    text = (
        f"---\ndocument: modulemd\nversion: 2\ndata:\n  name: {name}\n  stream: '{stream}'\n  version: 1\n"
        f"  context: c0ffee00\n  arch: x86_64\n  summary: s\n  description: d\n  license: {{module: [MIT]}}\n"
        f"  dependencies:\n  - requires: {{platform: [el9]}}\n  artifacts:\n    rpms:\n{artifacts}...\n"
    )
    choice = f"---\ndocument: modulemd-defaults\nversion: 1\ndata:\n  module: {name}\n  stream: '{stream}'\n...\n"
    return text + (choice if default else "")


def nevra(path: Path) -> str:
    name, version, rest = path.name.removesuffix(".rpm").rsplit("-", 2)
    return f"{name}-0:{version}-{rest}"


def spec(
    name: str, version: str, paths: Sequence[str], scriptlets: Mapping[str, str], relations: Mapping[str, Sequence[str]]
) -> str:
    assert set(relations) <= set(RELATIONS), relations
    epoch, _, rest = version.rpartition(":")
    number, release = rest.split("-")
    lines = [
        f"Name: {name}", f"Version: {number}", f"Release: {release}", f"Summary: {name} of the tests", "License: none",
        *([f"Epoch: {epoch}"] if epoch else []),
        *(f"{kind.title()}: {one}" for kind, names in relations.items() for one in names),
        "%description", f"{name} of the tests",
        "%install", "mkdir -p %{buildroot}", "cp -a %{_topdir}/tree/. %{buildroot}/ 2>/dev/null || :",
        *(line for kind, lua in scriptlets.items() for line in (f"%{kind} -p <lua>", lua)),
        "%files", *paths,
    ]  # fmt: skip
    return "%global debug_package %{nil}\n%global __os_install_post %{nil}\n" + "\n".join(lines) + "\n"
