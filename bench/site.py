"""A checkout and a cache of the benchmark's own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from knitter import lock
from knitter.lock import Lock

ROOT = Path(__file__).resolve().parent.parent
RECIPE = "bench"
_DOIT = str(Path(sys.executable).with_name("doit"))
_NOT_OURS = ("KNITTER_", "PYTHONDONTWRITEBYTECODE")
"""Of the environment: settings, and what would make Python compile all its modules at every start."""
_TEXT = """extends = "debian-12"
[disk]
size = "{size}"
"""
_MEASURE = """
import sys
from doit.doit_cmd import DoitMain
code = DoitMain().run(sys.argv[1:])
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print("peak", int(peak.split()[1]) * 1024 // 1000000)
sys.exit(code)
"""
"""Not by getrusage: its peak is inherited from who started the process, here the benchmark itself."""


class Bench:
    """Everything below *root*."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cache = root / "cache"
        for name in ("dodo.py", ".doit.cfg"):
            shutil.copy(ROOT / name, root)
        shutil.copytree(ROOT / "recipes", root / "recipes")
        self._file = root / "recipes" / RECIPE / "files" / "etc" / "motd"
        self._file.parent.mkdir(parents=True)
        self._file.write_text("first\n")
        self._write("8GiB")
        self._changes = 0

    @property
    def build(self) -> Path:
        """Where the stages leave their files."""
        return self.root / "build" / RECIPE

    @property
    def lock(self) -> Lock:
        """What is built."""
        path = self.build / "packages.lock"
        return lock.parse(path.read_text(), str(path))

    def fetch(self) -> None:
        """Fill the cache with packages."""
        self.doit("packages")

    def cold(self) -> None:
        """Make disk.raw from cached packages alone."""
        for path in self.cache.iterdir():
            if path.name != "sha256":
                shutil.rmtree(path)
        self.doit("clean", "rootfs", "disk")
        self.doit("disk")

    def change(self) -> None:
        """Change one overlay file and make disk.raw again."""
        self._changes += 1
        self._file.write_text(f"change {self._changes}\n")
        self.doit("disk")

    def finish(self) -> None:
        """Everything up to the AMI; booting is not what is measured here."""
        self.doit("build")

    def nothing(self) -> None:
        """Build again."""
        self.doit("build")

    @contextmanager
    def recipes(self, count: int) -> Iterator[None]:
        """*count* recipes in all, for a while."""
        folder = self.root / "recipes"
        more = [folder / f"more-{number}" for number in range(count - len(list(folder.iterdir())))]
        for path in more:
            path.mkdir()
            (path / "recipe.toml").write_text(_TEXT.format(size="8GiB"))
        yield
        for path in more:
            shutil.rmtree(path)

    def listing(self) -> None:
        """Every stage of every recipe."""
        self._run([_DOIT, "list"])

    def memory(self, size: str) -> float:
        """Peak resident memory, in MB, of the doit that makes and uploads a disk of *size*."""
        self._write(size)
        done = self._run([sys.executable, "-c", _MEASURE, f"build:{RECIPE}"])
        return float(done.rsplit("peak", 1)[1])

    def doit(self, *words: str) -> None:
        """Run doit on this recipe: `disk`, or `clean rootfs disk`."""
        command = [word for word in words if word == "clean"]
        tasks = [f"{word}:{RECIPE}" for word in words if word != "clean"]
        self._run([_DOIT, *command, *tasks])

    def _run(self, argv: list[str]) -> str:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_OURS)}
        ours = {"KNITTER_CACHE_DIRECTORY": str(self.cache), "KNITTER_BOOT_CHECK": "no", "CI": "true"}
        done = subprocess.run(argv, cwd=self.root, env=kept | ours, text=True, capture_output=True, check=False)
        if done.returncode:
            raise SystemExit(f"{argv} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done.stdout

    def _write(self, size: str) -> None:
        (self.root / "recipes" / RECIPE / "recipe.toml").write_text(_TEXT.format(size=size))
