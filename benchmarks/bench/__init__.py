"""What a cache costs, measured side by side: ours, those that people would use instead, and none at all."""
