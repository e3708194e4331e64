"""Lists of mirrors and repomd.xml, as text and as values."""

from datetime import UTC, datetime

import pytest

from knitter.distro.redhat.repodata import Index, Mirrors, parse_metalink, parse_mirrorlist, parse_repomd, trimmed

HEAD = '<?xml version="1.0"?>\n<repomd xmlns="http://linux.duke.edu/metadata/repo"><revision>7</revision>'


def data(kind: str, href: str = "", *, digit: str = "a", stamp: str = "1767323045.5", checksum: str = "sha256") -> str:
    return (
        f'<data type="{kind}"><checksum type="{checksum}">{digit * 64}</checksum>'
        f'<location href="{href or f"repodata/{kind}.xml.gz"}"/><timestamp>{stamp}</timestamp><size>9</size></data>'
    )


def repomd(*parts: str) -> bytes:
    return f"{HEAD}{''.join(parts)}</repomd>".encode()


GOOD = repomd(
    data("filelists", digit="b"),
    data("group", "repodata/comps.xml"),
    data("group_gz", "repodata/c0ffee-comps-BaseOS.x86_64.xml.gz", digit="c", stamp="1767323099"),
    data("modules", "repodata/modules.yaml.gz"),
    data("other"),
    data("primary", "repodata/f00d-primary.xml.zst"),
)


def test_repomd() -> None:
    found = parse_repomd(GOOD)
    assert found.date == datetime(2026, 1, 2, 3, 4, 59, tzinfo=UTC)
    assert [(one.kind, one.name) for one in found.indices] == [
        ("primary", "repodata/primary.xml.zst"),
        ("filelists", "repodata/filelists.xml.gz"),
        ("modules", "repodata/modules.yaml.gz"),
        ("group_gz", "repodata/group_gz.xml.gz"),
    ]
    assert found.indices[1] == Index("filelists", "repodata/filelists.xml.gz", "b" * 64, 9)


def test_trimmed_repomd_has_what_is_there_where_it_is() -> None:
    found = parse_repomd(GOOD)
    text = trimmed(GOOD, found.indices)
    assert b"other" not in text
    assert b":repomd" not in text
    assert {one.href for one in parse_repomd(text).indices} == {one.name for one in found.indices}


def test_name_of_an_index_is_ours() -> None:
    assert Index("primary", "../../etc/passwd", "", 0).name == "repodata/primary"
    assert Index("primary", "a/b.xml/../..", "", 0).name == "repodata/primary"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"Please log in", "not XML"),
        (b"<html/>", "lacks primary, filelists"),
        (repomd(data("primary")), "lacks filelists"),
        (repomd(data("primary", checksum="sha"), data("filelists")), "gives no SHA-256 of primary, but sha"),
        (repomd(data("primary", digit="/"), data("filelists")), "gives no SHA-256 of primary"),
        (repomd(data("primary"), '<data type="filelists"/>'), "has no checksum"),
        (repomd(data("primary"), data("filelists")).replace(b"timestamp", b"x"), "no timestamp"),
        (repomd(data("primary", stamp="soon"), data("filelists")), "soon"),
    ],
)
def test_what_is_no_repomd(text: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_repomd(text)


def test_mirrorlist() -> None:
    text = b"# us\nhttps://a.example.org/os/\n\nrsync://b.example.org/os\nhttp://c.example.org/os  \nfile:///srv/os\n"
    assert parse_mirrorlist(text) == Mirrors(
        ("https://a.example.org/os", "http://c.example.org/os", "file:///srv/os"),
    )


def test_metalink() -> None:
    text = b"""<?xml version="1.0" encoding="utf-8"?>
<metalink version="3.0" xmlns="http://www.metalinker.org/" xmlns:mm0="http://fedorahosted.org/mirrormanager">
 <files>
  <file name="other.xml"><resources><url>http://wrong.example.org/</url></resources></file>
  <file name="repomd.xml">
   <verification><hash type="md5">x</hash><hash type="sha256">AAAA</hash></verification>
   <mm0:alternates><mm0:alternate>
    <verification><hash type="sha256">bbbb</hash></verification>
   </mm0:alternate></mm0:alternates>
   <resources>
    <url protocol="http" preference="90">http://far.example.org/os/repodata/repomd.xml</url>
    <url protocol="rsync" preference="100">rsync://near.example.org/os/repodata/repomd.xml</url>
    <url protocol="https" preference="100">https://near.example.org/os/repodata/repomd.xml</url>
   </resources>
  </file>
 </files>
</metalink>"""
    assert parse_metalink(text) == Mirrors(
        ("https://near.example.org/os", "http://far.example.org/os"), frozenset({"aaaa", "bbbb"})
    )


@pytest.mark.parametrize(
    "text", [b"Please log in", b"<metalink/>", b'<metalink><file name="repomd.xml"/></metalink>'], ids=range(3)
)
def test_what_is_no_metalink(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"not XML|does not speak of repomd.xml|names no mirror"):
        parse_metalink(text)


def test_what_is_no_mirrorlist() -> None:
    with pytest.raises(ValueError, match="names no mirror"):
        parse_mirrorlist(b"<html>Please log in</html>\n")
