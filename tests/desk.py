"""A checkout of its own for a test: doit is run in it as a user would, in a process of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from knitter.receipt import Receipt, read
from knitter.site import Site

ROOT = Path(__file__).resolve().parent.parent
DOIT = Path(sys.executable).with_name("doit")
AWS = Path(sys.executable).with_name("aws")
LOCAL = ("packages", "rootfs", "disk", "boot")
STAGES = (*LOCAL, "snapshot", "ami")


@dataclass
class Desk:
    """dodo.py, .doit.cfg and the recipes, copied to *root*; the build directory is below it."""

    root: Path
    cache: Path
    settings: dict[str, str] = field(default_factory=dict)
    """KNITTER_* without the prefix, in lower case."""
    aws: dict[str, str] = field(default_factory=dict)
    """AWS_* in the environment; nothing of the user's own gets in."""

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        for name in ("dodo.py", ".doit.cfg"):
            shutil.copy(ROOT / name, self.root)
        shutil.copytree(ROOT / "recipes", self.root / "recipes", dirs_exist_ok=True)

    @property
    def build(self) -> Path:
        return self.root / "build"

    @property
    def site(self) -> Site:
        """The checkout as Python sees it; its cloud is the desk's own lab."""
        return Site(self.root)

    def environment(self, **settings: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("KNITTER_", "AWS_"))}
        ours = {"cache_directory": str(self.cache), **self.settings, **settings}
        return {**kept, **self.aws, "CI": "true", **{f"KNITTER_{name.upper()}": value for name, value in ours.items()}}

    def start(self, *arguments: str, **settings: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [DOIT, *arguments],
            cwd=self.root,
            env=self.environment(**settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def doit(self, *arguments: str, fails: bool = False, **settings: str) -> str:
        """Run doit to its end; its output.  The exit code must be 0, or not 0 if it *fails*."""
        process = self.start(*arguments, **settings)
        output, _ = process.communicate()
        assert (process.returncode != 0) == fails, f"exit code {process.returncode}\n{output}"
        assert "Traceback" not in output, output
        return output

    def cli(self, *arguments: str) -> Any:
        """What the AWS CLI answers in a shell that ran `eval "$(doit lab)"`."""
        argv = ["sh", "-c", f'eval "$({DOIT} lab)" && exec "$@"', "sh", AWS, *arguments, "--output", "json"]
        done = subprocess.run(argv, cwd=self.root, env=self.environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def write_recipe(self, name: str, text: str, files: Mapping[str, str] | None = None) -> Path:
        folder = self.root / "recipes" / name
        folder.mkdir(exist_ok=True)
        (folder / "recipe.toml").write_text(text)
        for path, content in (files or {}).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(content)
        return folder

    def receipt(self, recipe: str, stage: str) -> Receipt:
        found = read(self._receipt(recipe, stage))
        assert found is not None, f"{stage} of {recipe} has no receipt"
        return found

    @contextmanager
    def made(self, recipe: str) -> Iterator[list[str]]:
        """The stages whose receipts are written inside the block, in order."""
        before = {stage: self._written(recipe, stage) for stage in STAGES}
        made: list[str] = []
        yield made
        made += [stage for stage in STAGES if self._written(recipe, stage) != before[stage]]

    def stop_lab(self) -> None:
        self.doit("lab:stop")

    def _receipt(self, recipe: str, stage: str) -> Path:
        folder = self.build / recipe
        return (folder if stage in LOCAL else folder / "lab") / f"{stage}.json"

    def _written(self, recipe: str, stage: str) -> tuple[int, int] | None:
        path = self._receipt(recipe, stage)
        return (path.stat().st_ino, path.stat().st_mtime_ns) if path.exists() else None


def kill_hard(process: subprocess.Popen[str]) -> None:
    """kill -9 of doit itself, nothing else; its children must see to themselves."""
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
