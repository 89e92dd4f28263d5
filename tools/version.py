"""Set or check the one version that all distributions carry.

    python tools/version.py            print it
    python tools/version.py 0.2.0      set it: every pyproject.toml, every __version__, every pin between ours
    python tools/version.py --check    fail, naming each file that says something else

Versions are literals so that a packager or grep finds them where one would look; this keeps them equal.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

PACKAGES = Path(__file__).resolve().parent.parent / "packages"

VERSION = re.compile(r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?(?:\.dev\d+)?")
"""The subset of PEP 440 that we release under."""

PROJECT = re.compile(r'^(?P<before>version = ")(?P<version>[^"]*)(?=")', re.MULTILINE)
PIN = re.compile(r'(?P<before>"cacheops[\w-]*(?:\[[\w,-]*\])?==)(?P<version>[^"]*)(?=")')
MODULE = re.compile(r'^(?P<before>__version__ = ")(?P<version>[^"]*)(?=")', re.MULTILINE)


def places() -> Iterator[tuple[Path, re.Pattern[str], bool]]:
    """Yield each file with a pattern for the versions in it and whether there must be one."""
    for project in sorted(PACKAGES.glob("*/pyproject.toml")):
        yield project, PROJECT, True
        yield project, PIN, False
        yield project.parent / "src" / project.parent.name.replace("-", "_") / "__init__.py", MODULE, True


def current() -> str:
    """Return the core's version, which the others follow."""
    project = tomllib.loads((PACKAGES / "cacheops-core" / "pyproject.toml").read_text(encoding="utf-8"))
    version: str = project["project"]["version"]
    return version


def differences(version: str) -> Iterator[str]:
    """Yield one line for each literal that is not `version`, or that is missing."""
    for path, pattern, is_required in places():
        found = [match["version"] for match in pattern.finditer(path.read_text(encoding="utf-8"))]
        if is_required and not found:
            yield f"{path.relative_to(PACKAGES.parent)}: no version literal, expected {version}"
        for other in found:
            if other != version:
                yield f"{path.relative_to(PACKAGES.parent)}: {other}, expected {version}"


def set_everywhere(version: str) -> None:
    """Write `version` over every literal."""
    for path, pattern, _ in places():
        text = path.read_text(encoding="utf-8")
        path.write_text(pattern.sub(rf"\g<before>{version}", text), encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description="Set or check the version of all distributions.")
    parser.add_argument("version", nargs="?", help="the version to set, such as 0.2.0 or 0.2.0rc1")
    parser.add_argument("--check", action="store_true", help="fail, naming each file that differs")
    arguments = parser.parse_args()
    if arguments.version:
        if not VERSION.fullmatch(arguments.version):
            parser.error(f"{arguments.version!r} is no version: write it like 0.2.0 or 0.2.0rc1")
        set_everywhere(arguments.version)
    if arguments.check or arguments.version:
        found = list(differences(current()))
        print("\n".join(found) or f"all distributions say {current()}")
        return 1 if found else 0
    print(current())
    return 0


if __name__ == "__main__":
    sys.exit(main())
