"""The table of votes, in a file of SQLite or in a database that several servers share."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Integer, MetaData, String, Table

from dalle2.judgements.ranking import QUESTIONS, WINNERS

TABLES = MetaData()
# No identifier of a visitor; the prompt stays NULL without consent.
VOTES = Table(
    "votes",
    TABLES,
    Column("id", Integer, primary_key=True),
    Column("time", String, nullable=False),
    Column("question", String, CheckConstraint(f"question IN {QUESTIONS}"), nullable=False),
    Column("a", String, nullable=False),
    Column("b", String, CheckConstraint("a <> b"), nullable=False),
    Column("winner", String, CheckConstraint(f"winner IN {WINNERS}"), nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("prompt", String),
)
