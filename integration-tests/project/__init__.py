"""The Django project that the integration tests run in many processes."""
