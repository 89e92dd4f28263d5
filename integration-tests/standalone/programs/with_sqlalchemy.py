"""Products in a database that SQLAlchemy asks, cached by category: readers and writers in each other's way."""

import contextlib

from sqlalchemy import create_engine, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from cacheops_core import Cache

cache = Cache("embedded://", prefix="orm:")
engine = create_engine("sqlite:///shop.sqlite3")
asked = []


class Base(DeclarativeBase):
    pass


class Product(Base):
    __tablename__ = "product"
    id: Mapped[int] = mapped_column(primary_key=True)
    category: Mapped[int]

    def row(self):
        return "product", {"id": self.id, "category": self.category}


def ids(category):
    asked.append(category)
    with Session(engine) as session:
        return list(session.scalars(select(Product.id).where(Product.category == category)))


def cached_ids(category, ask=ids):
    dependencies = {"product": [{"category": category}]}
    return cache.get_or_compute(("ids", category), dependencies, lambda: ask(category))


def move(number, category, ending=Session.commit):
    with Session(engine) as session:
        product = session.get(Product, number, with_for_update=True)
        old = product.row()
        product.category = category
        with cache.writing(old, product.row()):
            ending(session)


Base.metadata.create_all(engine)
with Session(engine) as session, cache.writing("product"):
    session.add_all([Product(id=1, category=7), Product(id=2, category=9)])
    session.commit()


# A reader has asked the database when a writer commits, and stores what it has read only then.
def ask_slowly(category):
    found = ids(category)
    move(1, 8)
    return found


assert cached_ids(7, ask_slowly) == [1]
assert cached_ids(7) == []
assert cached_ids(8) == [1]


# A reader comes between the fence and the commit: it is given what is committed, and keeps it from nobody.
@event.listens_for(Session, "before_commit")
def read_between(session):
    assert cached_ids(8) == [1]


move(1, 7)
event.remove(Session, "before_commit", read_between)
assert cached_ids(8) == []
assert cached_ids(7) == [1]


# A transaction that is rolled back, or fails, changes nothing and blocks nobody.
def fail(session):
    raise RuntimeError("the database is away")


move(1, 8, ending=Session.rollback)
with contextlib.suppress(RuntimeError):
    move(1, 8, ending=fail)
asked.clear()
assert cached_ids(7) == cached_ids(7) == [1]
assert cached_ids(8) == cached_ids(8) == []
assert asked == [7, 8]

# A product of another category leaves the answers where they are.
cached_ids(9)
move(2, 10)
asked.clear()
assert (cached_ids(7), cached_ids(8), cached_ids(9), cached_ids(10)) == ([1], [], [], [2])
assert asked == [9, 10]
engine.dispose()
print("nothing stale")
