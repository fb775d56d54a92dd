"""What a user writes: resources, transformers, sources, hints and incremental cursors."""
