"""Everything that guards or shows this project, one session each: `nox --list` names them.

`nox` alone tests every distribution on every supported Python that is there and names those that are not.
`nox -s tests` does so on the Python that runs nox, `nox -s "tests(core)"` for one distribution, and
`nox -s "tests-3.13(django)"` on another Python. What stands after `--` goes to the tool that a session runs.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import nox

ROOT = Path(__file__).parent
PACKAGES = ROOT / "packages"

NEEDS = {
    "core": ["cacheops-core"],
    "django": ["cacheops-core", "cacheops-django"],
    "jinja2": ["cacheops-core", "cacheops-jinja2"],
    "filecache": ["cacheops-core", "cacheops-filecache"],
    "facade": ["cacheops-core", "cacheops-django", "cacheops-jinja2", "cacheops-filecache", "cacheops"],
}
"""For each distribution, those of ours that it stands on, then itself."""

EVERYTHING = NEEDS["facade"]

DJANGO = {"3.11": "5.2", "3.12": "6.0", "3.13": "6.1"}
"""Each supported Python with the Django that is tested on it: together they cover both lists."""

BESIDE_ONE_DJANGO = [
    *("demo/test_browser.py", "filecache", "standalone", "test_bench.py", "test_forks.py", "test_growth.py"),
    *("test_lost_keys.py", "test_model.py", "test_near_delay.py", "test_sentinel.py", "test_tutorial.py"),
    *("test_soak.py", "test_soak_faults.py", "test_soak_oracle.py"),
    # Of these the package's own tests, which run beside each, have enough.
    *("test_django_suite.py", "test_random.py"),
]
"""Integration tests to which the version of Django makes no difference, or that only do more of the same."""

THIS = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The Python that runs nox: it is always tested on, listed above or not."""

WHEELS = tempfile.TemporaryDirectory(prefix="cacheops-wheels-")
"""Where this run builds our wheels; it goes away with the run."""

ELSEWHERE = {"CACHEOPS_TEST_SERVERS": os.environ.get("CACHEOPS_TEST_SERVERS", "valkey")}
"""Which servers other Pythons are tested with than the one that runs nox, on which all are used that are there."""

IN_CI = os.environ.get("CI") == "true"

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "no" if IN_CI else "yes"
# A Python that is not on this machine is named in the closing list, and fails only where it was promised.
nox.options.error_on_missing_interpreters = os.environ.get("CACHEOPS_REQUIRE_PYTHONS") == "1"
# Some of them only, where others are tested at the same time: CACHEOPS_PYTHONS=3.11,3.12.
CHOSEN = os.environ.get("CACHEOPS_PYTHONS", "")
nox.options.sessions = [
    f"tests-{python}" for python in DJANGO | {THIS: ""} if not CHOSEN or python in CHOSEN.split(",")
]


def install_ours(session: nox.Session, names: Iterable[str], *others: str, extras: str = "") -> None:
    """Install our distributions as they stand now, at once, so that pip takes none of them from elsewhere."""
    wheels = [str(wheel(session, name)) for name in names]
    session.install(*wheels[:-1], wheels[-1] + extras, *others)
    if not IN_CI:
        # pip takes a wheel of the installed version for the installed wheel; in a kept environment it is another.
        session.install("--force-reinstall", "--no-deps", "-q", *wheels)


def wheel(session: nox.Session, name: str) -> Path:
    """Return a distribution's wheel, which is built once for all sessions of this run."""
    version = nox.project.load_toml(PACKAGES / name / "pyproject.toml")["project"]["version"]
    path = Path(WHEELS.name, f"{name.replace('-', '_')}-{version}-py3-none-any.whl")
    if not path.exists():
        session.run_install(
            "python", "-m", "pip", "wheel", "-q", "--no-deps", f"-w{path.parent}", str(PACKAGES / name)
        )
    return path


def test_requirements(name: str) -> list[str]:
    """Return what the tests of a distribution need, as its own pyproject.toml says."""
    project = nox.project.load_toml(PACKAGES / name / "pyproject.toml")
    return list(nox.project.dependency_groups(project, "test"))


def django_for(python: str | None) -> str:
    """Return the requirement for the Django that is tested on a Python."""
    return f"django~={DJANGO.get(python or THIS, '6.1')}.0"


@nox.parametrize("distribution", [nox.param(name, id=name) for name in NEEDS])
def tests(session: nox.Session, distribution: str) -> None:
    """Test one distribution, with nothing installed but what it needs itself."""
    names = NEEDS[distribution]
    django = [django_for(str(session.python or THIS))] if "cacheops-django" in names else []
    install_ours(session, names, *test_requirements(names[-1]), *django)
    env = {} if session.python in (None, THIS) else ELSEWHERE
    session.run("python", "-m", "pytest", f"packages/{names[-1]}/tests", *session.posargs, env=env)


nox.session(tests)
for version in DJANGO | {THIS: ""}:
    nox.session(tests, name=f"tests-{version}", python=None if version == THIS else version)


@nox.session
@nox.parametrize(
    "python,django",
    [
        nox.param(python, django, id=name)
        for name, (python, django) in zip(("default", "middle", "newest"), DJANGO.items(), strict=True)
    ],
)
def integration(session: nox.Session, django: str) -> None:
    """Test all distributions together against real databases and servers, in several processes."""
    # The demo is tested too: what it shows is a promise.
    needs = ["-rintegration-tests/requirements.txt", "-rdemo/requirements.txt"]
    install_ours(session, EVERYTHING, f"django~={django}.0", *needs)
    is_first = django == DJANGO["3.11"]
    left_out = [] if is_first else [f"--ignore=integration-tests/{name}" for name in BESIDE_ONE_DJANGO]
    # pytest-django is for the Django package's own tests, which run here in a process of their own.
    command = ["python", "-m", "pytest", "-p", "no:django", "integration-tests", *left_out]
    session.run(*command, *session.posargs, env={} if is_first else ELSEWHERE)


@nox.session
def soak(session: nox.Session) -> None:
    """Count the stale reads of readers and writers for longer, while servers and processes fail; see `-- --help`."""
    django = django_for(str(session.python or THIS))
    install_ours(session, EVERYTHING, django, "-rintegration-tests/requirements.txt")
    with session.chdir("integration-tests"):
        session.run("python", "-m", "soak", *session.posargs)


@nox.session
def django_tests(session: nox.Session) -> None:
    """Run Django's own tests with everything cached, and compare each read with the database; see `-- --help`."""
    django = django_for(str(session.python or THIS))
    install_ours(session, EVERYTHING, django, "-rintegration-tests/requirements.txt")
    with session.chdir("integration-tests"):
        session.run("python", "-m", "django_tests", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, import directions, spelling and that all versions are equal."""
    session.install("ruff~=0.17.0", "import-linter~=2.16", "codespell~=2.4")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    sources = os.pathsep.join(str(folder) for folder in sorted(PACKAGES.glob("*/src")))
    session.run("lint-imports", "--no-logo", env={"PYTHONPATH": sources})
    session.run("codespell")
    session.run("python", "tools/version.py", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of each distribution, strictly, and what they tell the checkers of a site's code."""
    checkers = ["mypy~=2.4.0", "django-stubs~=6.1.0", "pyright[nodejs]~=1.1.414"]
    install_ours(
        session, EVERYTHING, *checkers, "pytest>=9", "rich", extras="[prometheus,opentelemetry,toolbar]"
    )
    # django-stubs' plugin, which starts Django, reads only the Django package.
    sources = {name: str(PACKAGES / name / "src" / name.replace("-", "_")) for name in EVERYTHING}
    django = sources.pop("cacheops-django")
    session.run("mypy", "--strict", *sources.values())
    session.run(
        "mypy", "--strict", "--config-file=tools/mypy-django.toml", django, env={"PYTHONPATH": "tools"}
    )
    for name in EVERYTHING:
        # Every public name has a type that is written down.
        session.run("pyright", "--ignoreexternal", "--verifytypes", name.replace("-", "_"))
    with session.chdir("integration-tests/typed"):
        session.run("mypy", "--config-file=mypy.toml", "shop", env={"PYTHONPATH": "."})
        session.run("pyright", "--warnings")


@nox.session
def build(session: nox.Session) -> None:
    """Build wheels and sdists, look into them, and use each alone and all together in clean environments."""
    session.install("build~=1.3", "flit_core>=3.11,<5", "virtualenv")
    made = Path(session.create_tmp()).resolve() / "dists"
    shutil.rmtree(made, ignore_errors=True)
    for name in EVERYTHING:
        # The wheel is made from the sdist, so that a sdist which lacks something fails here.
        session.run("python", "-m", "build", "-nq", f"--outdir={made}", str(PACKAGES / name))
    session.run("python", "tools/dists.py", "contents", str(made))
    for chosen in [*([name] for name in EVERYTHING), EVERYTHING]:
        session.run("python", "tools/dists.py", "install", str(made), *chosen)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure what a cache costs beside others and none; `-- filecache` measures the file cache instead."""
    needs = [django_for(str(session.python or THIS)), "-rbenchmarks/requirements.txt"]
    install_ours(session, EVERYTHING, *needs, extras="[embedded]")
    if session.posargs[:1] == ["filecache"]:
        session.run("python", "benchmarks/filecache.py", *session.posargs[1:])
    else:
        session.run("python", "benchmarks/run.py", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """Run the tour in the terminal; `-- serve` serves the site instead."""
    install_ours(session, EVERYTHING, "-r", "demo/requirements.txt", extras="[embedded]")
    session.run("python", "demo/manage.py", *(session.posargs or ["tour"]))


@nox.session
def pictures(session: nox.Session) -> None:
    """Take the pictures of the documentation anew, of the demo in a browser."""
    needs = ["-rdemo/requirements.txt", "-rintegration-tests/requirements.txt"]
    install_ours(session, EVERYTHING, *needs, extras="[embedded]")
    session.run("python", "tools/pictures.py", *(session.posargs or ["docs"]))


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into docs/_build; a warning is an error."""
    install_ours(session, EVERYTHING, "-r", "docs/requirements.txt")
    session.run("python", "-m", "sphinx", "-EnW", "--keep-going", "docs", "docs/_build", *session.posargs)
