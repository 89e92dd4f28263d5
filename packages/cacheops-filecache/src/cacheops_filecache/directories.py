"""Where the files lie, and whether that is a safe place.

Entries are pickles, so whoever can write to the directory can run code in every program that reads it. That is
why a directory must belong to this user and be writable by nobody else, and why it is made so.
"""

# Strings and os functions: pathlib takes longer to import than a script takes for its entries.
# ruff: noqa: PTH100, PTH102, PTH111, PTH112, PTH116, PTH118, PTH120

from __future__ import annotations

import os
import stat

from cacheops_core.errors import ConfigurationError

__all__ = ["default_directory", "prepare"]


def default_directory() -> str:
    """Return the folder for this user in the place where the platform keeps caches."""
    import platformdirs  # only for those who do not choose a directory of their own

    return os.path.join(platformdirs.user_cache_dir("cacheops"), "files")


def prepare(directory: str) -> str:
    """Return the directory as an absolute path, made if it was not there; raise unless it is safe."""
    path = os.path.abspath(os.path.expanduser(directory))
    try:
        _make(path)
    except (FileExistsError, NotADirectoryError) as error:
        raise _refusal(path, f"is or lies below a file ({error})", "name a directory") from error
    if hasattr(os, "geteuid"):  # elsewhere, as on Windows, access lists of the user's own folder say it all
        _check_owner(path)
        _check_modes(path)
    return path


def _make(path: str) -> None:
    # Not os.makedirs, which makes the folders in between as the umask says, and that may be for everybody.
    if not os.path.isdir(path):
        if path != os.path.dirname(path):
            _make(os.path.dirname(path))
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:  # another process was faster, or it is a file
            if not os.path.isdir(path):
                raise


def _check_owner(path: str) -> None:
    user = os.geteuid()
    # Of a link both count: its target, and the link itself, which its owner may let point elsewhere.
    for owner in (os.lstat(path).st_uid, os.stat(path).st_uid):
        if owner != user:
            raise _refusal(
                path,
                f"belongs to user {owner}, who could make this program (user {user}) run any code",
                "name another directory, or run as its owner",
            )


def _check_modes(path: str) -> None:
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _refusal(
            path,
            f"is writable by others (mode {mode:04o}), who could make this program run any code",
            f'run chmod go-w "{path}" if nobody else has written to it, or name another directory',
        )
    parent = os.path.dirname(os.path.realpath(path))
    while True:
        mode = os.stat(parent).st_mode
        # In a sticky folder, as /tmp, only the owner can rename what lies in it.
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise _refusal(
                path,
                f"lies in {parent}, where everybody could put another directory in its place",
                f'run chmod o-w "{parent}", or name another directory',
            )
        if parent == os.path.dirname(parent):
            return
        parent = os.path.dirname(parent)


def _refusal(path: str, reason: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(f'directory="{path}" {reason}: {remedy}')
