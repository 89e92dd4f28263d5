"""Where an embedded server lives: the folder that its location names, and the socket in it."""

import contextlib
import os
import re
import stat
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .errors import ConfigurationError

# The limit of sun_path, its closing zero included: 104 bytes on macOS and the BSDs, 108 on Linux.
MAX_SOCKET_PATH = 103


def folder_of(location: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder that ``location`` names, whether or not it exists."""
    if location is None:
        return _user_cache_folder() / "default"
    text = os.fspath(location)
    if not text.startswith("embedded:"):
        return _absolute(text, text)
    url = urlsplit(text)
    if url.netloc and not url.path.strip("/") and re.fullmatch(r"\w[\w.-]*", url.netloc):
        return _user_cache_folder() / url.netloc
    if url.netloc or url.query or url.fragment:
        raise ConfigurationError(
            f"{text!r} names no place for a server: use embedded:// for your default one, "
            f"embedded://name for another, or embedded:///absolute/folder"
        )
    return _absolute(unquote(url.path), text) if url.path.strip("/") else _user_cache_folder() / "default"


def _absolute(path: str, location: str) -> Path:
    if not Path(path).is_absolute():
        raise ConfigurationError(
            f"the folder of an embedded server must be an absolute path, not {location!r}"
        )
    return Path(os.path.normpath(path))


def _user_cache_folder() -> Path:
    # No XDG_RUNTIME_DIR: it is set at a desktop but not for cron or a service, and two processes
    # of one project that disagreed about the folder would not see each other's invalidations.
    try:
        home = Path.home()
    except RuntimeError as error:
        raise ConfigurationError(
            "you have no home folder for the default embedded server: name a folder, embedded:///absolute/folder"
        ) from error
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "cacheops"


def socket_path(folder: Path) -> Path:
    """Return the path of the socket in the folder, or refuse a folder that is too deep for one."""
    path = folder / "valkey.sock"
    if len(os.fsencode(path)) > MAX_SOCKET_PATH:
        raise ConfigurationError(
            f"the folder {folder} is too deep for a socket: the path of {path.name} in it may have at most "
            f"{MAX_SOCKET_PATH} bytes; choose a shorter one, embedded:///absolute/folder"
        )
    return path


def make_private(folder: Path) -> None:
    """Make the folder, or refuse one in which somebody else could put a socket of theirs."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        status = folder.lstat()
    except OSError as error:
        raise ConfigurationError(
            f"the folder {folder} for the embedded server cannot be made: {error.strerror}; "
            f"choose another, embedded:///absolute/folder"
        ) from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise ConfigurationError(
            f"the folder {folder} for the embedded server must be a real folder that belongs to you and is "
            f"closed to others (chmod 700), or not exist yet: choose another, embedded:///absolute/folder"
        )
