"""The site's own client."""

import redis


class CountingRedis(redis.Redis):
    """Counts what it is asked to do."""

    commands = 0

    def execute_command(self, *args, **options):
        type(self).commands += 1
        return super().execute_command(*args, **options)
