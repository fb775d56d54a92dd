"""Types, tables, names, and how a schema evolves. Pure values and functions; knows neither Arrow nor SQL."""
