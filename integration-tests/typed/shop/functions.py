"""Decorated functions keep their signatures."""

from contextlib import suppress
from typing import assert_type

from cacheops import CacheMiss, cached, cached_as, file_cache, invalidate_obj, no_invalidation
from cacheops_core import AsyncCache, Cache

from .models import Author

cache = Cache("redis://localhost")
async_cache = AsyncCache("redis://localhost")


@cached(timeout=60)
def total(number: int, *, unit: str = "") -> float:
    return float(f"{number}{unit}")


@cached
async def name_of(number: int) -> str:
    return str(number)


@cached_as(Author, timeout=10)
def names() -> list[str]:
    return []


@file_cache.cached(timeout=60)
def page(number: int) -> bytes:
    return bytes(number)


@cache.cached_as("product")
def price(number: int) -> float:
    return float(number)


@async_cache.cached(timeout=1)
async def stock(number: int) -> int:
    return number


async def use() -> None:
    assert_type(total(1, unit=""), float)
    assert_type(names(), list[str])
    assert_type(page(1), bytes)
    assert_type(price(1), float)
    assert_type(await name_of(1), str)
    assert_type(await stock(1), int)
    total("1")  # type: ignore[arg-type]
    await name_of("1")  # type: ignore[arg-type]
    total.invalidate(1, unit="")
    total.invalidate("1")  # type: ignore[arg-type]


def write(author: Author) -> None:
    with no_invalidation:
        author.save()
    with suppress(CacheMiss):
        invalidate_obj(author)
