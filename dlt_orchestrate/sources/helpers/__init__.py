"""Ready-made parts for sources of your own: requests with retries, and a REST client."""
