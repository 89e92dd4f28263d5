"""A shop of one page with Flask, sqlite3, cacheops-core and cacheops-jinja2: `flask --app page run`."""

import os
import sqlite3
from contextlib import closing

from flask import Flask, redirect, render_template, request
from werkzeug.wrappers import Response

from cacheops_core import Cache

app = Flask(__name__)
cache = Cache(os.environ["SHOP_REDIS"], prefix="shop:")
app.jinja_env.add_extension("cacheops_jinja2.CacheopsExtension")
app.jinja_env.cacheops = cache


def database() -> closing[sqlite3.Connection]:
    """Open the database, with its one table."""
    connection = sqlite3.connect(os.environ["SHOP_DATABASE"])
    connection.execute("CREATE TABLE IF NOT EXISTS product (category TEXT, name TEXT)")
    return closing(connection)


@app.template_global()
def names(category: str) -> list[str]:
    """Return the names of a category's products; a line of the log says that the database was asked."""
    app.logger.warning("asking for %s", category)
    with database() as connection:
        rows = connection.execute("SELECT name FROM product WHERE category = ? ORDER BY name", [category])
        return [name for (name,) in rows]


@app.get("/<category>")
def show(category: str) -> str:
    """Show the products of a category."""
    return render_template("category.html", category=category)


@app.post("/<category>")
def add(category: str) -> Response:
    """Add a product to a category."""
    row = {"category": category, "name": request.form["name"]}
    with database() as connection, cache.writing(("product", row)), connection:
        connection.execute("INSERT INTO product VALUES (:category, :name)", row)
    return redirect(f"/{category}")
