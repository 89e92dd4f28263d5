"""What the keys of the cache begin with."""

HELPER_TABLES = {"articles_tag", "articles_flag"}


def by_table(query):
    """Tell apart what helps from what is read."""
    if set(query.tables) <= HELPER_TABLES:
        return "helper:"
    if query.tables == ["articles_article"]:
        return "articles:"
    return "on-" + "-".join(query.dbs) + ":"
