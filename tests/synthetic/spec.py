"""The text of one spec for all packages of a shape.

A package's own part, parts/<shape>/<package>/spec, is what rpm's manual says, but that no section names its package:
lines of the preamble first, then scriptlets.  `@KERNEL@` becomes what `uname -r` will say.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from tests.synthetic.shape import Shape
from tests.synthetic.slices import Slice

_FOREIGN: Final = (
    r"perl|/usr/bin/perl|/usr/bin/pkg-config|/usr/bin/env|/bin/dash|/lib/runit|/usr/local|libatm|libfreetype|libfuse"
    r"|python3?\\(|python3?dist|pkgconfig\\("
)
"""What the generators find in Debian's files, and no package of ours has."""
_SECTION: Final = re.compile(
    r"^(%(?:pretrans|pre|post|preun|postun|posttrans|transfiletriggerin))\b(.*)$", re.MULTILINE
)
_HEAD: Final = f"""\
%global debug_package %{{nil}}
%global __spec_install_pre true
%global __spec_install_post %{{nil}}
%global __spec_clean_body true
%global _binaries_in_noarch_packages_terminate_build 0
%global _build_id_links none
%global _binary_payload w2.zstdio
%global _unpackaged_files_terminate_build 0
%global __requires_exclude ^({_FOREIGN})
%global __provides_exclude ^(perl|python3?dist|pkgconfig)
Name: synthetic
Version: 1
Release: 1
Summary: not built
License: various
%description
Not built.
"""


def text(shape: Shape, slices: Iterable[Slice], lists: Path, *, release: str, kernel: str) -> str:
    """The spec; the files of each package are listed in *lists*/<package>, which this writes."""
    return "\n".join([_HEAD, *(_package(shape, one, lists, release, kernel) for one in slices)])


def _package(shape: Shape, one: Slice, lists: Path, release: str, kernel: str) -> str:
    (lists / one.name).write_text("%defattr(-,root,root)\n" + "".join(f"{line}\n" for line in one.lines))
    preamble, scriptlets = _part(shape, one.name, kernel)
    return "\n".join([
        f"%package -n {one.name}",
        *_fields(one, preamble, f"{release}.{shape.dist}"),
        preamble,
        f"%description -n {one.name}",
        f"{one.name} of the synthetic distribution.",
        _SECTION.sub(rf"\1 -n {one.name}\2", scriptlets),
        f"%files -n {one.name} -f {lists / one.name}",
        "",
    ])  # fmt: skip


def _fields(one: Slice, preamble: str, release: str) -> Iterator[str]:
    """What *preamble* does not say itself."""
    fields = {"Summary": f"{one.name} (synthetic)", "Version": one.version, "Release": release, "License": "various"}
    for name, value in fields.items():
        if not re.search(rf"^{name}:", preamble, re.MULTILINE):
            yield f"{name}: {value}"
    if one.name not in {"filesystem", "setup"}:
        yield "Requires: filesystem"
        yield from (f"Requires: {name}" for name in sorted(one.requires))


def _part(shape: Shape, name: str, kernel: str) -> tuple[str, str]:
    """Preamble and scriptlets; the shape's own part is for both if it is there."""
    for parts in reversed(shape.parts()):
        if (path := parts / name / "spec").exists():
            written = path.read_text().replace("@KERNEL@", kernel)
            start = match.start() if (match := _SECTION.search(written)) else len(written)
            return written[:start], written[start:]
    return "", ""
