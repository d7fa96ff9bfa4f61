"""Reads shards with pyarrow or polars as they are: arrow_peer.py LIBRARY FILE... Prints their rows and schema as JSON."""
import json
import sys

library, *paths = sys.argv[1:]
rows = []
if library == "pyarrow":
    import pyarrow as pa

    for path in paths:
        with pa.memory_map(path) as source, pa.ipc.open_file(source) as reader:
            allocated = pa.total_allocated_bytes()
            table = reader.read_all()
            table.validate(full=True)
            assert pa.total_allocated_bytes() == allocated, "expected columns that are views of the mapped file"
            schema = [f"{field.name}: {field.type}{'' if field.nullable else ' not null'}" for field in table.schema]
            rows += table.to_pylist()
else:
    import polars as pl

    for path in paths:
        table = pl.read_ipc(path)
        schema = [f"{name}: {kind}" for name, kind in table.schema.items()]
        rows += table.to_dicts()
print(json.dumps({"schema": schema, "rows": [{**row, "doc_id": row["doc_id"].hex()} for row in rows]}))
