"""The database room: tables, transactions, migrations. Knows SQLAlchemy so that nobody else has to."""
