"""From spooled batches to one commit: spool, plan, cast, and carry out inside the destination's transaction."""
