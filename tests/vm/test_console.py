"""Reading a serial console."""

from pathlib import Path

import pytest

from knitter.vm import console


def test_the_end_in_plain_text(tmp_path: Path) -> None:
    path = tmp_path / "console"
    path.write_bytes(
        b"\x1b[2J\x1b[01;01HSeaBIOS\r\n\r\r\n"
        b"[\x1b[0;32m  OK  \x1b[0m] Started \x1b[0;1;39mssh\x1b[0m.\r\n\x07\x00\r\nlogin: "
    )
    assert console.read(path, 9) == ["SeaBIOS", "[  OK  ] Started ssh.", "login:"]
    assert console.read(path, 1) == ["login:"]


def test_only_the_end_of_a_long_one_is_read(tmp_path: Path) -> None:
    path = tmp_path / "console"
    path.write_bytes(b"begin\n" + b"x" * 70000 + b"\nend\n")
    lines = console.read(path, 9)
    assert lines[-1] == "end"
    assert "begin" not in lines


def test_bytes_that_are_no_text_are_no_trouble(tmp_path: Path) -> None:
    path = tmp_path / "console"
    path.write_bytes(b"\xff\xfe caf\xc3\xa9\n")
    assert console.read(path, 1)[0].endswith("caf\u00e9")


def test_a_console_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert console.read(tmp_path / "none", 5) == []


@pytest.mark.parametrize(
    ("line", "sign"),
    [
        ("GRUB Read Error", "GRUB legacy did not find its files"),
        ("Error 17", "GRUB legacy did not find its files"),
        ("Error 15: File not found", "GRUB legacy did not find its files"),
        ("dracut Warning: Boot has failed. To debug this", "the initramfs did not find the root file system"),
        ("[    1.2] Kernel panic - not syncing: VFS: Unable to mount root fs", "the kernel panicked"),
        ("No bootable device.", "the BIOS found nothing to boot"),
        ("BdsDxe: No bootable option or device was found.", "the UEFI firmware found nothing to boot"),
        ("Shell>", "the UEFI firmware found nothing to boot"),
        ("grub rescue>", "GRUB did not find its files"),
        ("grub>", "GRUB found no menu"),
        ("(initramfs)", "the initramfs did not find the root file system"),
        ("You are in emergency mode. After logging in, type", "the system went into emergency mode"),
        ("Reached target emergency.target? no: all is well", None),
    ],
)
def test_signs_of_a_boot_that_failed(line: str, sign: str | None) -> None:
    assert console.find_sign(["before", line, "after"]) == sign
