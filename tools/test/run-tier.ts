// `npm run test:interop` and `npm run test:soak`: tiers of their own, since they need peers from pip or much time.
import { join } from "node:path";
import { ROOT } from "./nx.ts";
import { runTier } from "./tier.ts";

const [tier, ...names] = process.argv.slice(2);
process.exitCode = runTier(join(ROOT, "test", tier!), names);
