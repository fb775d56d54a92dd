"""What is remembered from load to load: cursors and other state, windows, commit records."""
