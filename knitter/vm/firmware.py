"""Where distributions keep the UEFI firmware for guests: code, and the variables that a fresh machine starts with."""

from pathlib import Path
from typing import Final, Literal

from knitter.machine import tools

Architecture = Literal["x86_64", "arm64"]

FILES: Final[dict[Architecture, tuple[tuple[str, str], ...]]] = {
    # (code, variables); the first pair that is there is taken.  None of them enforces Secure Boot.
    "x86_64": (
        ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),  # Debian, Ubuntu
        ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),  # Fedora
        ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
        ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),  # Arch
    ),
    "arm64": (
        ("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
        ("/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw", "/usr/share/edk2/aarch64/vars-template-pflash.raw"),
    ),
}
_MARKERS: Final[dict[Architecture, str]] = {"x86_64": "/usr/share/OVMF", "arm64": "/usr/share/AAVMF"}
"""As `tools` knows the packages."""


def find_uefi(architecture: Architecture, root: Path = Path("/")) -> tuple[Path, Path]:
    """Code and variables of the firmware, below *root*.  Raises KnitterError naming the package if there is none."""
    for code, variables in FILES[architecture]:
        pair = (root / code.lstrip("/"), root / variables.lstrip("/"))
        if all(path.exists() for path in pair):
            return pair
    raise tools.missing_tools([_MARKERS[architecture]])
