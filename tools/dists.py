"""Look into the distributions that were built, and use them as a stranger would.

    python tools/dists.py contents FOLDER           every wheel and sdist holds what it must
    python tools/dists.py install FOLDER NAME...    in a clean environment: install, import, run the READMEs

Ours come from FOLDER only; what they need from others comes from where pip takes it.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ROOT / "packages"

OURS = re.compile(r"cacheops[\w-]*")
EXAMPLE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PROGRAM = re.compile(r"^(import|from) ", re.MULTILINE)
"""What tells a whole program from a few lines of settings."""

PRINTED = re.compile(r"^ *print\(.*\)  # (.+)$", re.MULTILINE)
"""A line that prints, and the comment that says what: in a loop "one thing, then another"."""


def contents(folder: Path) -> list[str]:
    """Return a line for each file that a distribution lacks."""
    missing: list[str] = []
    for project in sorted(PACKAGES.iterdir()):
        stem = project.name.replace("-", "_")
        package = [path.relative_to(project / "src") for path in (project / "src").rglob("*") if ships(path)]
        for archive in (one(folder, f"{stem}-*.whl"), one(folder, f"{stem}-*.tar.gz")):
            held = names(archive)
            wanted = ["LICENSE", *map(str, package)]
            missing += [f"{archive.name} lacks {name}" for name in wanted if not ends(held, name)]
    return missing


def ships(path: Path) -> bool:
    """Say whether a file of the sources belongs in a distribution: modules, scripts, templates, py.typed."""
    return path.is_file() and "__pycache__" not in path.parts


def one(folder: Path, pattern: str) -> Path:
    """Return the one file that matches."""
    (found,) = folder.glob(pattern)
    return found


def names(archive: Path) -> list[str]:
    """List what is in a wheel or a sdist."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return wheel.namelist()
    with tarfile.open(archive) as sdist:
        return sdist.getnames()


def ends(held: list[str], name: str) -> bool:
    """Say whether a file is held, in whichever folder the format puts it."""
    return any(path == name or path.endswith(f"/{name}") for path in held)


def install(folder: Path, chosen: list[str]) -> None:
    """Install the chosen distributions, import each, and run what their READMEs show."""
    with tempfile.TemporaryDirectory() as place:
        subprocess.run([sys.executable, "-m", "virtualenv", "-q", place], check=True)
        python = Path(place, "Scripts" if os.name == "nt" else "bin", "python")
        ours = set(chosen).union(*map(needs, chosen))
        wheels = {name: str(one(folder, f"{name.replace('-', '_')}-*.whl")) for name in sorted(ours)}
        subprocess.run([python, "-m", "pip", "install", "-q", *wheels.values()], check=True)
        for name in chosen:
            subprocess.run([python, "-Werror", "-c", f"import {name.replace('-', '_')}"], check=True)
        embedded = f"{wheels['cacheops-core']}[embedded]"
        subprocess.run([python, "-m", "pip", "install", "-q", embedded], check=True)
        for readme in readmes(chosen):
            run_programs(python, readme, place)
        print(f"{', '.join(chosen)}: installed, imported, and the READMEs are true", flush=True)


def needs(name: str) -> set[str]:
    """Return those of our distributions that one depends on, directly or not."""
    project = tomllib.loads((PACKAGES / name / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    direct = {match[0] for need in project["dependencies"] if (match := OURS.match(need))}
    return direct.union(*map(needs, direct))


def readmes(chosen: list[str]) -> list[Path]:
    """Return each distribution's README, and with the facade the project's."""
    found = [PACKAGES / name / "README.md" for name in chosen]
    return [*found, ROOT / "README.md"] if "cacheops" in chosen else found


def run_programs(python: Path, readme: Path, place: str) -> None:
    """Run what a README shows as whole programs, where only what is installed can be imported."""
    for text in EXAMPLE.findall(readme.read_text(encoding="utf-8")):
        if PROGRAM.search(text):
            run = [python, "-Werror", "-"]
            done = subprocess.run(run, input=text, text=True, stdout=subprocess.PIPE, check=True, cwd=place)
            told = [line for comment in PRINTED.findall(text) for line in comment.split(", then ")]
            if told and told != done.stdout.splitlines():
                raise SystemExit(f"{readme} says that it prints\n{told}\nand it prints\n{done.stdout}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Look into the built distributions, or use them.")
    parser.add_argument("what", choices=["contents", "install"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    if arguments.what == "install":
        install(arguments.folder, arguments.names)
        return 0
    missing = contents(arguments.folder)
    print("\n".join(missing) or "every distribution holds its licence, its typing mark and its scripts")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
