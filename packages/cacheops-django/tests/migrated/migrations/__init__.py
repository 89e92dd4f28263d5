"""What has been done to the tables, one after another."""
