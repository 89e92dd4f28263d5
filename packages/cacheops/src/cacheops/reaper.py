"""What projects that come from django-cacheops call from time to time to tidy up, and what need not be done here."""

import logging

__all__ = ["reap_conjs"]

log: logging.Logger = logging.getLogger("cacheops")


def reap_conjs(
    chunk_size: int = 1000, min_conj_set_size: int = 1000, using: str = "default", dry_run: bool = False
) -> None:
    """Do nothing but say so in the log: there are no sets of keys that could outgrow what is cached."""
    log.info("Nothing to reap: nothing here grows. Remove reap_conjs() from where it is called.")
