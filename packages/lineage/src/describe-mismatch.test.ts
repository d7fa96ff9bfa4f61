import { expect, test } from "vitest";
import { z } from "zod";
import { describeMismatch } from "./describe-mismatch.ts";

const schema = z.object({ a: z.literal("silu"), b: z.object({ c: z.array(z.int()) }), d: z.null().optional() });
const described = (value: unknown) => describeMismatch(schema.safeParse(value).error!, value);

test("each line says what was expected and found, and where", () => {
  expect(described({ a: "gelu", b: { c: [1, 2.5] }, d: { type: "yarn" } })).toBe(
    ['✖ Invalid input: expected "silu", found "gelu"\n  → at a', '✖ Invalid input: expected null, received object, found {"type":"yarn"}\n  → at d', "✖ Invalid input: expected int, received number, found 2.5\n  → at b.c[1]"].join("\n"),
  );
});

test("what is not there is nothing, however deep, and the value itself may be wrong", () => {
  expect(described({ b: {} })).toContain('expected "silu", found nothing\n  → at a');
  expect(described({ a: "silu" })).toContain("found nothing\n  → at b");
  expect(described(null)).toBe("✖ Invalid input: expected object, received null, found null");
});

test("what is long is cut short", () => {
  expect(described({ a: "x".repeat(100), b: { c: [] } })).toMatch(/found "x{59}…\n/);
});
