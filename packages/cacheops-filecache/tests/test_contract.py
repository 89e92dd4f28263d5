"""The file cache owes what every simple cache owes."""

import pytest

from cacheops_core.testing.contract import LockContract, SimpleCacheContract
from cacheops_filecache import FileCache


@pytest.fixture
def cache(tmp_path):
    return FileCache(tmp_path)


class TestFileCache(SimpleCacheContract):
    pass


class TestFileLocks(LockContract):
    @pytest.fixture
    def other(self, tmp_path):
        return FileCache(tmp_path)
