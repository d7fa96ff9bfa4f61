"""Loads and validates Croissant JSON-LD with mlcroissant: croissant_peer.py FILE. Prints what it made of it as JSON."""
import hashlib
import json
import logging
import sys
from pathlib import Path

from absl import logging as absl_logging

messages = []


class Collector(logging.Handler):
    def emit(self, record):
        messages.append(record.getMessage())


absl_logging.get_absl_logger().addHandler(Collector())
logging.getLogger().addHandler(Collector())

import mlcroissant as mlc

dataset = mlc.Dataset(sys.argv[1])
issues = dataset.metadata.ctx.issues
records = [{key.split("/")[-1]: value.decode() for key, value in record.items()} for record in dataset.records("documents")]
# mlcroissant compares digests of what it downloads only; these files lie beside the description.
digests = {file.id: hashlib.sha256((Path(sys.argv[1]).parent / file.content_url).read_bytes()).hexdigest() == file.sha256 for file in dataset.metadata.distribution}
print(json.dumps({
    "digests": digests,
    "errors": sorted(issues.errors),
    "warnings": sorted(issues.warnings) + sorted(messages),
    "name": dataset.metadata.to_json()["name"],
    "license": dataset.metadata.to_json()["license"],
    "records": records,
}))
