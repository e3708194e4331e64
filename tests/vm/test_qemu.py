"""The machine that QEMU is told to show."""

import shlex
from pathlib import Path

import pytest

from knitter.errors import KnitterError
from knitter.vm.accelerator import Accelerator, Architecture
from knitter.vm.drive import Drive
from knitter.vm.firmware import find_uefi
from knitter.vm.metadata import Imds, Instance
from knitter.vm.qemu import SERIAL, Firmware, Hardware, Wiring, plan_arguments

GOLDEN = Path(__file__).with_name("golden")
IMDS: tuple[Imds, ...] = ("v2.0", "v1.0", "disabled", "none")
TCG = Accelerator("tcg", "for the test")


def lines(firmware: Firmware, architecture: Architecture, accelerator: Accelerator = TCG) -> str:
    """The arguments, one option a line."""
    uefi = firmware == "uefi"
    wiring = Wiring(
        drives=(Drive("root", Path("/build/a,b/overlay.qcow2"), "qcow2", SERIAL, slot=1),),
        console=Path("/build/console.log"),
        monitor=7,
        metadata="python relay.py 'a, b'",
        code=Path("/fw/CODE.fd") if uefi else None,
        variables=Path("/build/vars.fd") if uefi else None,
    )
    arguments = plan_arguments(
        Hardware(firmware, accelerator, architecture),
        Instance(user_data=b"", public_key="", architecture=architecture),
        wiring,
    )
    return shlex.join(arguments).replace(" -", "\n-") + "\n"


@pytest.mark.parametrize(
    ("firmware", "architecture"), [("bios", "x86_64"), ("uefi", "x86_64"), ("uefi", "arm64")], ids="-".join
)
def test_command_lines(firmware: Firmware, architecture: Architecture) -> None:
    assert lines(firmware, architecture) == (GOLDEN / f"{firmware}-{architecture}.txt").read_text()


def test_a_virtio_disk_is_in_no_slot_so_that_old_kernels_know_it() -> None:
    serial = f"drive=root,serial={SERIAL}"
    nvme, virtio = (Drive("root", Path("/x"), "raw", SERIAL, slot=1, bus=bus).device() for bus in ("nvme", "virtio"))
    assert (
        ",".join(f"{key}={value}" for key, value in virtio.items()) == f"driver=virtio-blk-pci,id=virtio-root,{serial}"
    )
    assert ",".join(f"{key}={value}" for key, value in nvme.items()) == f"driver=nvme,id=nvme-root,{serial},bus=slot1"


def test_without_metadata_nobody_is_at_its_address() -> None:
    shown = {imds: " ".join(_arguments(imds)) for imds in IMDS}
    assert [imds for imds in IMDS if "guestfwd=tcp:169.254.169.254:80" not in shown[imds]] == ["none"]
    assert all("hostfwd=" in text for text in shown.values())


def _arguments(imds: Imds) -> tuple[str, ...]:
    wiring = Wiring(drives=(), console=Path("/build/console.log"), monitor=7, metadata="python relay.py")
    return plan_arguments(Hardware("bios", TCG), Instance(user_data=b"", public_key="", imds=imds), wiring)


def test_kvm_gives_the_hosts_processor() -> None:
    assert "-accel kvm\n-cpu host\n" in lines("bios", "x86_64", Accelerator("kvm", "for the test"))


def firmware_files(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def test_firmware_is_found_where_debian_keeps_it(tmp_path: Path) -> None:
    base = "usr/share/OVMF/OVMF"
    firmware_files(tmp_path, f"{base}_CODE_4M.fd", f"{base}_VARS_4M.fd", f"{base}_CODE.fd", f"{base}_VARS.fd")
    assert find_uefi("x86_64", tmp_path) == (tmp_path / f"{base}_CODE_4M.fd", tmp_path / f"{base}_VARS_4M.fd")


def test_firmware_is_found_where_fedora_keeps_it(tmp_path: Path) -> None:
    base = "usr/share/edk2/ovmf/OVMF"
    firmware_files(tmp_path, f"{base}_CODE.fd", f"{base}_VARS.fd")
    assert find_uefi("x86_64", tmp_path) == (tmp_path / f"{base}_CODE.fd", tmp_path / f"{base}_VARS.fd")


@pytest.mark.parametrize(("architecture", "package"), [("x86_64", "ovmf"), ("arm64", "qemu-efi-aarch64")])
def test_missing_firmware_names_its_package(tmp_path: Path, architecture: Architecture, package: str) -> None:
    with pytest.raises(KnitterError) as caught:
        find_uefi(architecture, tmp_path)
    assert package in caught.value.hint


def test_code_without_its_variables_is_no_firmware(tmp_path: Path) -> None:
    firmware_files(tmp_path, "usr/share/OVMF/OVMF_CODE_4M.fd")
    with pytest.raises(KnitterError):
        find_uefi("x86_64", tmp_path)
