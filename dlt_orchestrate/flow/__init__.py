"""What travels between the steps, as frozen values."""
