"""How fast and how large: the same generated records through each tool, in turn, as whole processes."""
