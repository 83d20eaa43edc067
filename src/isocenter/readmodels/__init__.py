"""Read-only SQL across stages, for screens and searches. Nothing here changes anything."""
