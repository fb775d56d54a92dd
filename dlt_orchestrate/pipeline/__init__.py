"""`run()`: the one place that joins extract, normalize and load; what it reports, and access to what is loaded."""
