import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { LeaseStore, cacheDirectory, makeFolder, sha256 } from "@diffucoder/lineage";

/** Does work on a place in the cache while no other process of this machine does: parts of one corpus meet there. */
export async function fetchAlone<T>(place: string, work: () => Promise<T>): Promise<T> {
  const folder = join(cacheDirectory(), "leases");
  makeFolder(folder);
  const leases = new LeaseStore(folder);
  for (;;) {
    const lease = await leases.acquire(sha256(place), Date.now);
    if (lease !== undefined) return work().finally(() => lease.release());
    await sleep(POLL_MS);
  }
}

const POLL_MS = 100;
