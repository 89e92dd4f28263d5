"""An app whose tables come from migrations."""
