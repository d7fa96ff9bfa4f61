import { homedir } from "node:os";
import { join } from "node:path";

/** Where downloads and built tools are kept, for all checkouts of a user: DIFFUCODER_CACHE, or the user's cache folder. */
export function cacheDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  const { DIFFUCODER_CACHE, XDG_CACHE_HOME } = environment;
  if (DIFFUCODER_CACHE) return DIFFUCODER_CACHE;
  return join(XDG_CACHE_HOME || join(homedir(), ".cache"), "diffucoder");
}
