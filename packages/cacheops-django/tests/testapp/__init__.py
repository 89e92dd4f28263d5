"""An app whose models have a bit of everything."""
