"""PostgreSQL: any number of processes load into one database; a commit locks its dataset only."""
