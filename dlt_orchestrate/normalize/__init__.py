"""Pages into table batches: structure only, no names and no types."""
