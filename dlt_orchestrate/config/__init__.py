"""Where values and secrets come from, in which order, and how secrets stay secret."""
