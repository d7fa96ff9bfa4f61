import type { SourceEntry, SourceFile } from "../src/sources/source-file.ts";

/** Reads the files of a list one after the other. */
export const loadEntries = (entries: AsyncIterable<SourceEntry>): Promise<SourceFile[]> => Array.fromAsync(entries, (entry) => entry.load());
