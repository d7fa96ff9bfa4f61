import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalJson, sha256, type JsonValue } from "./json.ts";

/** Strings of units that sort and escape in different ways. */
const odd = fc.string({ unit: fc.constantFrom("a", "B", "1", "ö", "€", "\ufb33", "😀", "\u0000", "\u007f", '"', "\\", "/", "\n") });

describe("canonicalJson", () => {
  test("writes RFC 8785's example of section 3.2.2 as the RFC does", () => {
    const input = String.raw`{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }`;
    expect(canonicalJson(JSON.parse(input) as JsonValue)).toBe(
      String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
    );
  });

  test("sorts keys by UTF-16 code units, as RFC 8785's example of section 3.2.3 does", () => {
    const names = {
      "€": "Euro Sign",
      "\r": "Carriage Return",
      "\ufb33": "Hebrew Letter Dalet With Dagesh",
      "1": "One",
      "😀": "Emoji: Grinning Face",
      "\u0080": "Control",
      "ö": "Latin Small Letter O With Diaeresis",
    };
    // The emoji's first unit is d83d, below fb33, though its code point is above.
    expect([...canonicalJson(names).matchAll(/:"([^"]+)"/g)].map((match) => match[1])).toEqual([
      "Carriage Return",
      "One",
      "Control",
      "Latin Small Letter O With Diaeresis",
      "Euro Sign",
      "Emoji: Grinning Face",
      "Hebrew Letter Dalet With Dagesh",
    ]);
  });

  /** @source RFC 8785, appendix B: the bits of a double and its spelling */
  test.each([
    ["0000000000000000", "0"],
    ["8000000000000000", "0"],
    ["0000000000000001", "5e-324"],
    ["8000000000000001", "-5e-324"],
    ["7fefffffffffffff", "1.7976931348623157e+308"],
    ["4340000000000000", "9007199254740992"],
    ["4430000000000000", "295147905179352830000"],
    ["44b52d02c7e14af5", "9.999999999999997e+22"],
    ["44b52d02c7e14af6", "1e+23"],
    ["444b1ae4d6e2ef4f", "999999999999999900000"],
    ["444b1ae4d6e2ef50", "1e+21"],
    ["3eb0c6f7a0b5ed8c", "9.999999999999997e-7"],
    ["3eb0c6f7a0b5ed8d", "0.000001"],
    ["41b3de4355555553", "333333333.3333332"],
    ["becbf647612f3696", "-0.0000033333333333333333"],
  ])("spells the double %s as %s", (bits, spelling) => {
    expect(canonicalJson(Buffer.from(bits, "hex").readDoubleBE())).toBe(spelling);
  });

  test("comes back as the same value, whatever the value", () => {
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue({ maxDepth: 3 }), fc.dictionary(odd, fc.array(odd), { noNullPrototype: true })), (value) => {
        const text = canonicalJson(value as JsonValue);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value))); // which loses the sign of -0
        expect(canonicalJson(JSON.parse(text) as JsonValue)).toBe(text);
      }),
    );
  });

  test("does not depend on the order in which keys were set", () => {
    fc.assert(
      fc.property(fc.dictionary(odd, fc.jsonValue({ maxDepth: 1 }), { noNullPrototype: true }), fc.nat(), (value, turn) => {
        const entries = Object.entries(value);
        const turned = entries.map((_, i) => entries[(i + turn) % entries.length]!).reverse();
        expect(canonicalJson(Object.fromEntries(turned) as JsonValue)).toBe(canonicalJson(value as JsonValue));
      }),
    );
  });

  test("keeps the order of arrays and writes no white space", () => {
    expect(canonicalJson({ b: [3, 1, { d: [], c: {} }], a: "x y" })).toBe('{"a":"x y","b":[3,1,{"c":{},"d":[]}]}');
  });

  test.each<[string, unknown, string]>([
    ["NaN", NaN, "number: expected a finite one, found NaN"],
    ["an infinity", { a: [-Infinity] }, "number: expected a finite one, found -Infinity"],
    ["undefined", { a: undefined }, "value: expected JSON, found undefined"],
    ["a hole in an array", [1, , 2], "value: expected JSON, found undefined"],
    ["a function", [() => 1], "value: expected JSON, found function"],
    ["a bigint", 1n, "value: expected JSON, found bigint"],
    ["a symbol", Symbol("s"), "value: expected JSON, found symbol"],
    ["a date", new Date(0), "value: expected JSON, found object"],
    ["a map", new Map(), "value: expected JSON, found object"],
    ["a lone surrogate in a string", "\ud800", 'string: expected well-formed Unicode, found "\\ud800"'],
    ["a lone surrogate in a key", { "\udc00": 1 }, 'string: expected well-formed Unicode, found "\\udc00"'],
  ])("refuses %s", (_, value, message) => {
    expect(() => canonicalJson(value as JsonValue)).toThrow(new TypeError(message));
  });
});

describe("sha256", () => {
  test("gives the published digests, of text and of bytes", () => {
    // FIPS 180-4's example, and the digest of nothing
    expect(sha256("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect(sha256(new Uint8Array(0))).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect(sha256("ö")).toBe(sha256(Uint8Array.of(0xc3, 0xb6))); // UTF-8
  });
});
