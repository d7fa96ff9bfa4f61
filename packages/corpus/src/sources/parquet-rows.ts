import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects, type Compressors } from "hyparquet";

/**
 * Rows of a Parquet file, from 1, with the columns asked for. The first row of a row group that is read brings the others
 * of the group into memory, for as long as any of them is held.
 *
 * @throws RangeError for columns that are not there or a row group too large to hold; what the reader throws for a damaged file
 */
export async function* listParquetRows(path: string, columns: readonly string[]): AsyncGenerator<{ readonly row: number; readonly read: () => Promise<Record<string, unknown>> }> {
  const file = await asyncBufferFromFile(path);
  const metadata = await parquetMetadataAsync(file);
  const present = metadata.schema.map(({ name }) => name);
  const absent = columns.filter((column) => !present.includes(column));
  if (absent.length > 0) throw new RangeError(`expected columns ${columns.join(", ")}, found none called ${absent.join(", ")}`);
  let rowStart = 0;
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows);
    const groupBytes = group.columns.filter(({ meta_data }) => columns.includes(meta_data?.path_in_schema[0] ?? "")).reduce((sum, { meta_data }) => sum + Number(meta_data?.total_uncompressed_size ?? 0), 0);
    if (groupBytes > LARGEST_GROUP_BYTES) throw new RangeError(`expected row groups of at most ${LARGEST_GROUP_BYTES} bytes, found one of ${groupBytes}`);
    const range = { rowStart, rowEnd };
    let rows: Promise<Record<string, unknown>[]> | undefined;
    const read = async (row: number) => (await (rows ??= parquetReadObjects({ file, metadata, ...range, columns: [...columns], compressors: COMPRESSORS })))[row - range.rowStart - 1]!;
    for (let row = rowStart + 1; row <= rowEnd; row++) yield { row, read: () => read(row) };
    rowStart = rowEnd;
  }
}

const LARGEST_GROUP_BYTES = 1 << 30;

/** A page gets the room that it claims, and no more. */
const COMPRESSORS: Compressors = {
  GZIP: (bytes, length) => gunzipSync(bytes, { maxOutputLength: length }),
  BROTLI: (bytes, length) => brotliDecompressSync(bytes, { maxOutputLength: length }),
  ZSTD: (bytes, length) => zstdDecompressSync(bytes, { maxOutputLength: length }),
};
