"""MinHash of datatrove over a JSONL file of texts, one task on one core: datatrove_side.py DOCUMENTS FOLDER BANDS ROWS.

Prints one JSON object: CPU seconds of each step, the pairs that share a bucket, and the documents removed. Writes the
distinct shingles of each document to FOLDER/shingles (u64) and how many there are to FOLDER/counts (u32).
"""
import contextlib
import io
import json
import struct
import sys
import time
from pathlib import Path

import numpy as np
from datatrove.data import Document
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupSignature
from datatrove.utils.hashing import HashConfig
from datatrove.utils.logging import logger


def main() -> None:
    logger.remove()
    documents, folder, bands, rows = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    texts = [json.loads(line)["text"] for line in documents.open()]
    config = MinhashConfig(n_grams=5, num_buckets=bands, hashes_per_bucket=rows, hash_config=HashConfig(precision=64))
    signer = MinhashDedupSignature(output_folder=str(folder / "sigs"), config=config)
    signer.get_shingles("the tokenizer is loaded by the first text")
    cpu = {}

    def timed(name, work):
        start = time.process_time()
        with contextlib.redirect_stderr(io.StringIO()):
            work()
        cpu[name] = cpu.get(name, 0) + time.process_time() - start

    timed("sign", lambda: signer.run((Document(text=text, id=str(i)) for i, text in enumerate(texts)), 0, 1))
    for band in range(bands):
        timed("pairs", lambda: MinhashDedupBuckets(str(folder / "sigs"), str(folder / "pairs"), config=config).run(None, band, bands))
    timed("cluster", lambda: MinhashDedupCluster(str(folder / "pairs"), str(folder / "removed"), config=config).run(None, 0, 1))

    removed = folder / "removed" / "000000.remove"
    with (folder / "shingles").open("wb") as shingles, (folder / "counts").open("wb") as counts:
        for text in texts:
            distinct = np.unique(signer.get_shingles(text))
            shingles.write(distinct.tobytes())
            counts.write(struct.pack("<I", len(distinct)))
    print(json.dumps({
        "cpu": cpu,
        "pairs": sorted(bucket_pairs(folder / "sigs", bands, rows)),
        "removed": np.fromfile(removed, dtype="<u4").tolist() if removed.exists() else [],
    }))


def bucket_pairs(folder: Path, bands: int, rows: int) -> set:
    """All pairs with equal signatures in a bucket; the step that pairs them writes only neighbours of a chain."""
    pairs = set()
    for band in range(bands):
        groups = {}
        for *signature, document in struct.iter_unpack(f"<{rows}QI", (folder / f"bucket_{band:03d}" / "00000.minhash.sig").read_bytes()):
            groups.setdefault(tuple(signature), []).append(document)
        for group in groups.values():
            group.sort()
            pairs.update((a, b) for i, a in enumerate(group) for b in group[i + 1 :])
    return pairs


main()
