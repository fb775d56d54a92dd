"""The doors: what can be plugged in, one file each."""
