"""What projects that come from django-cacheops call from time to time to tidy up, and what need not be done here."""

__all__ = ["reap_conjs"]


def reap_conjs(chunk_size: int = 1000, min_conj_set_size: int = 1000, dry_run: bool = False) -> None:
    """Do nothing: there are no sets of keys that could outgrow what is cached. It is here for those who call it."""
