"""The file cache owes what every simple cache owes."""

import pytest

from cacheops_core.signing import Signed
from cacheops_core.testing.contract import LockContract, SimpleCacheContract
from cacheops_filecache import FileCache


@pytest.fixture
def cache(tmp_path):
    return FileCache(tmp_path)


class TestFileCache(SimpleCacheContract):
    pass


class TestSignedFileCache(SimpleCacheContract):
    @pytest.fixture
    def cache(self, tmp_path):
        return FileCache(tmp_path, serializer=Signed("pickle", "a key of the project"))


class TestFileLocks(LockContract):
    @pytest.fixture
    def other(self, tmp_path):
        return FileCache(tmp_path)
