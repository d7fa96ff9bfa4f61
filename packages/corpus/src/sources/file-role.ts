import { matchesGlob } from "node:path";
import type { DataCard } from "../data-card.ts";

/** What a card makes of a file: a document to be, a word on the licence of others, or nothing. */
export type FileRole = "included" | "licence" | "other";

export function roleOf({ include }: Pick<DataCard, "include">, path: string): FileRole {
  if (include.some((glob) => matchesGlob(path, glob))) return "included";
  return isLicenseFile(path) ? "licence" : "other";
}

/** Files that say under which licence those beside and below them are. */
const isLicenseFile = (path: string): boolean => /(^|\/)(LICEN[CS]E|COPYING|UNLICENSE)([-._][^/]*)?$/i.test(path);
