"""What SQL databases have in common: how a commit's operations become statements. A database adds its dialect, its
connection and how rows get into it in bulk.
"""
