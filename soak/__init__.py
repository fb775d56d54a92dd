"""Kills, races and readers against real destinations, with a model that knows what must be there."""
