"""Resource to `Page`: running the user's code, its pipe steps and its incremental cursor."""
