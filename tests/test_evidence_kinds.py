"""What lies about a stored value is called what the table's own words say it is."""

import json

from core.evidence import FOLDER


def test_ranges_and_intervals_are_stored_as_what_their_tables_call_them():
    for path in sorted(FOLDER.glob("*.json")):
        for table in json.loads(path.read_text())["tables"]:
            words = f"{table['title']} {table['measure']}"
            for row in table["rows"]:
                if row["low"] is None:
                    continue
                if "range over" in words:
                    assert row.get("kind") == "range", (path.stem, table["title"], row["name"])
                elif "95 % interval" in words:
                    assert row.get("kind") == "interval", (path.stem, table["title"], row["name"])
