"""States that tests of pipelines begin from."""

from tests.dataflow.postgres import postgres_schema, postgres_url

__all__ = ["postgres_schema", "postgres_url"]
