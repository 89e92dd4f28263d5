"""Environments of their own, with one of our distributions, what it needs, and nothing else of ours."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

PACKAGES = Path(__file__).parents[2] / "packages"
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]


@dataclass(frozen=True)
class Environment:
    """A Python with its packages, and a home folder, so that its embedded servers are its own."""

    python: Path
    home: Path

    def run(self, program: str) -> str:
        """Return what a program prints; a warning is an error."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DJANGO"))
        }
        done = subprocess.run(
            [self.python, "-W", "error", "-"],
            input=program, text=True, capture_output=True, check=False, timeout=60,
            cwd=self.home, env=kept | {"HOME": str(self.home)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert not done.stderr
        return done.stdout


Install = Callable[..., Environment]


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheels of the distributions that stand alone."""
    folder = tmp_path_factory.mktemp("wheels")
    ours = [str(PACKAGES / name) for name in ("cacheops-core", "cacheops-filecache", "cacheops-jinja2")]
    subprocess.run([*PIP, "wheel", "--no-deps", "-w", folder, *ours], check=True)
    return folder


@pytest.fixture(scope="session")
def install(wheels: Path) -> Iterator[Install]:
    """Makes an environment with these requirements; names of ours stand for their wheels."""
    made: dict[tuple[str, ...], Environment] = {}
    # A short path: sockets of embedded servers lie below it.
    with TemporaryDirectory(prefix="alone-") as place:

        def make(*requirements: str) -> Environment:
            if requirements not in made:
                made[requirements] = _make(Path(place, str(len(made))), wheels, requirements)
            return made[requirements]

        yield make


def _make(folder: Path, wheels: Path, requirements: tuple[str, ...]) -> Environment:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    python = folder / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    # Ours are found among the wheels before they are looked for anywhere else.
    found = [_wheel(wheels, requirement) for requirement in requirements]
    subprocess.run(
        [*PIP, f"--python={python}", "install", "--no-compile", f"--find-links={wheels}", *found], check=True
    )
    (folder / "home").mkdir()
    return Environment(python, folder / "home")


def _wheel(wheels: Path, requirement: str) -> str:
    name, bracket, extras = requirement.partition("[")
    if not name.startswith("cacheops"):
        return requirement
    (wheel,) = wheels.glob(f"{name.replace('-', '_')}-*.whl")
    return f"{wheel}{bracket}{extras}"
