import { defineConfig } from "vitest/config";

// The condition under which workspace packages resolve to their TypeScript sources.
const SOURCE = "@diffucoder/source";

export default defineConfig({
  ssr: { resolve: { conditions: [SOURCE] } },
  test: { include: ["**/*.test.ts"], pool: "forks", testTimeout: 60_000, execArgv: [`--conditions=${SOURCE}`] },
});
