"""Makes the database that `definitions/shop.py` reads: `python -m definitions.shop_database shop.sqlite`."""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

SHOP = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT, is_member BOOLEAN);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL REFERENCES customers,
    total NUMERIC(10, 2) NOT NULL,
    placed_at DATETIME NOT NULL
);
INSERT INTO customers VALUES (1, 'Ada', 'ada@shop.example', 1), (2, 'Grace', 'grace@shop.example', 0);
INSERT INTO orders VALUES
    (1, 1, 12.50, '2026-01-01 09:30:00'), (2, 2, 7.00, '2026-01-01 11:00:00'), (3, 1, 3.25, '2026-01-02 08:15:00');
"""


def make_shop(path: Path) -> None:
    """Make the database anew."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SHOP)


if __name__ == "__main__":
    make_shop(Path(sys.argv[1]))
