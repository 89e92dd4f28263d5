"""Other settings that the documentation shows: each module is one."""
