"""All rows, in the order of the table."""

from . import ROWS, kills, broker, database, ledger, people, store, outage, images, model, soak  # noqa: F401
