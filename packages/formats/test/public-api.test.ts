import { expect, test } from "vitest";
import * as formats from "../src/index.ts";

test("the package offers these names; removing one is a major version", () => {
  expect(Object.keys(formats).sort()).toEqual([
    "DOCUMENTS_FILE",
    "FormatError",
    "SHARD_MANIFEST",
    "ShardSet",
    "Weights",
    "checkShards",
    "countDocuments",
    "croissantOf",
    "describeShards",
    "docIdOf",
    "findCheckpointText",
    "formatMetrics",
    "loadCheckpoint",
    "merkleRoot",
    "narrow",
    "openShards",
    "parseMetrics",
    "parseShardManifest",
    "readCheckpointJson",
    "readCheckpointMetrics",
    "readCheckpointText",
    "readDocuments",
    "readSafetensors",
    "readShardRows",
    "requireCheckpointFile",
    "saveCheckpoint",
    "tensorsToWrite",
    "writeDocuments",
    "writeSafetensors",
    "writeShards",
    "writeWeights",
  ]);
});

test("the files of artifacts keep their names", () => {
  expect([formats.DOCUMENTS_FILE, formats.SHARD_MANIFEST]).toEqual(["documents.parquet", "manifest.json"]);
});
