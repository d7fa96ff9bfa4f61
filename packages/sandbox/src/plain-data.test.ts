import fc from "fast-check";
import { expect, it } from "vitest";
import { createSandbox } from "./index.ts";

/** Python literals of all that crosses as it is. */
const { key, value } = fc.letrec<{ key: string; value: string }>((tie) => ({
  key: fc.oneof(
    fc.constantFrom("None", "True", "False", "-0.0", "float('inf')", "2j", "1e-320", "int", "''", "'\\ud83d\\ude00'", "'\\x00'", "datetime.date(2024, 2, 29)", "datetime.timedelta(-1, 2, 3)"),
    fc.bigInt({ min: -(2n ** 80n), max: 2n ** 80n }).map(String),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => `float.fromhex(${(x === 0 ? 0 : x).toString().includes("e") ? `float(${x}).hex()` : `float('${x}').hex()`})`),
    fc.string({ unit: "binary" }).map((text) => JSON.stringify(text)),
    fc.uint8Array({ maxLength: 5 }).map((bytes) => `bytes([${bytes.join(",")}])`),
    fc.tuple(fc.integer(), fc.integer({ min: 1 })).map(([a, b]) => `fractions.Fraction(${a}, ${b})`),
    fc.integer().map((a) => `decimal.Decimal('${a}e-3')`),
    fc.array(tie("key"), { maxLength: 3 }).map((items) => `(${items.map((item) => `${item},`).join("")})`),
    fc.array(tie("key"), { maxLength: 3 }).map((items) => `frozenset([${items.join(",")}])`),
  ),
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    tie("key"),
    fc.array(tie("value"), { maxLength: 4 }).map((items) => `[${items.join(",")}]`),
    fc.array(tie("key"), { maxLength: 4 }).map((items) => `set([${items.join(",")}])`),
    fc.constantFrom("dict", "collections.OrderedDict", "collections.Counter").chain((kind) => fc.array(fc.tuple(tie("key"), tie("value")), { maxLength: 3 }).map((pairs) => `${kind}({${pairs.map(([k, v]) => `${k}: ${v}`).join(",")}})`)),
    fc.array(tie("value"), { maxLength: 3 }).map((items) => `collections.deque([${items.join(",")}], 5)`),
    fc.tuple(fc.integer(), fc.integer(), fc.integer({ min: 1 })).map((parts) => `range(${parts.join(",")})`),
    fc.constant("collections.defaultdict(list, {1: [2]})"),
  ),
}));

it("every plain value comes back equal and of the same type, parts included", async () => {
  const sandbox = await createSandbox({ workers: 1, limits: { wallMs: 60_000 } });
  const check = (values: readonly string[]) =>
    `import collections, datetime, decimal, fractions\ndef shape(v):\n  if isinstance(v, dict): return [type(v), [(shape(k), shape(i)) for k, i in v.items()]]\n  if isinstance(v, (list, tuple, collections.deque)): return [type(v), [shape(i) for i in v]]\n  return [type(v), repr(v) if isinstance(v, (float, complex)) else v]\nfor v in [${values.join(",\n")}]:\n  r = same(v)\n  assert r == v and shape(r) == shape(v), (v, r)`;
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(key, value), { minLength: 20, maxLength: 40 }), async (values) => {
      expect(await sandbox.run({ candidate: "def same(x): return x", checks: [check(values)], entryPoints: ["same"] })).toMatchObject({ status: "passed" });
    }),
    { numRuns: 20 },
  );
  await sandbox.close();
});
