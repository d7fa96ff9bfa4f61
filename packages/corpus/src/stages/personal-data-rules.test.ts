import fc from "fast-check";
import { expect, test } from "vitest";
import { findPersonalData, isPublicIPv4, isRandom, redact } from "./personal-data-rules.ts";

// Put together here, so that no scanner takes this file for a leak.
const random = (length: number) => "a8Fk2LxQ9zRt5VwB7mNc3HyJ6sDgP4eU".repeat(9).slice(0, length);
const found = (text: string) => findPersonalData(text).map(({ kind, rule, start, end }) => `${kind} ${rule} ${text.slice(start, end)}`);

test.each([
  ["mail ada.lovelace+x@mail.cam.ac.uk now", "email email ada.lovelace+x@mail.cam.ac.uk"],
  ["<ada@cam.uk>", "email email ada@cam.uk"],
  ["host 93.184.216.34:80", "ip-address ipv4 93.184.216.34"],
  ["host = '2606:2800:220:1:248:1893:25c8:1946'", "ip-address ipv6 2606:2800:220:1:248:1893:25c8:1946"],
  [`aws = AKIA${"Q3EGRJ5XW2NT7LVB"}`, `key aws AKIA${"Q3EGRJ5XW2NT7LVB"}`],
  [`ghp_${random(36)}`, `key github ghp_${random(36)}`],
  [`glpat-${random(20)}`, `key gitlab glpat-${random(20)}`],
  [`xoxb-${random(24)}`, `key slack xoxb-${random(24)}`],
  [`sk_live_${random(24)}`, `key stripe sk_live_${random(24)}`],
  [`AIza${random(35)}`, `key google AIza${random(35)}`],
  [`hf_${random(34)}`, `key hugging-face hf_${random(34)}`],
  [`sk-proj-${random(40)}`, `key openai sk-proj-${random(40)}`],
  [`npm_${random(36)}`, `key npm npm_${random(36)}`],
  [`pypi-${random(60)}`, `key pypi pypi-${random(60)}`],
  [`SG.${random(22)}.${random(43)}`, `key sendgrid SG.${random(22)}.${random(43)}`],
  [`eyJ${random(20)}.eyJ${random(40)}.${random(30)}`, `key web-token eyJ${random(20)}.eyJ${random(40)}.${random(30)}`],
  ["postgres://app:hunter22x@db/x", "password url hunter22x"],
  ["db_password = 'tr0ub4dor&3'", "password assignment tr0ub4dor&3"],
  ['{"API_KEY": "' + random(24) + '"}', `key assignment ${random(24)}`],
])("%s", (text, expected) => {
  expect(found(text)).toEqual([expected]);
});

test("a private key is one span from its first line to its last", () => {
  const key = ["-----BEGIN RSA PRIVATE KEY-----", random(64), random(64), "-----END RSA PRIVATE KEY-----"].join("\n");
  expect(found(`x\n${key}\ny`)).toEqual([`key private-key ${key}`]);
});

test.each([
  "user@example.com, git@github.com:a/b, noreply@x.org, a@b, @decorator, x@y.z1",
  "10.0.0.1 127.0.0.1 192.168.1.1 172.16.0.1 169.254.0.1 0.0.0.0 255.255.255.0 224.0.0.1 192.0.2.7 8.8.8.8 100.64.0.1",
  "version 93.184.216.34, v 1.22.33.44, 1.2.3.4.5, 300.1.1.1, 93.184.216.034, x-93.184.216.34",
  "2001:db8::1 ::1 fe80::1 a[2000:3000] 2024:01:02",
  "password = 'password' password = '${DB_PASSWORD}' password = '<secret>' password = 'xxxxxxxx' password='letters'",
  "token = 'the_name_of_the_token_class' api_key = 'your-api-key-here-1234' key = 'a8Fk2LxQ9zRt5VwB7mNc'",
  ".sk-fading-circle-container-outer http://user:pass@host https://a.b/c:d",
])("nothing is found in: %s", (text) => {
  expect(found(text)).toEqual([]);
});

test("of two rules at one place the first to begin stands, and none overlap", () => {
  const text = `url = "https://ada:${random(20)}@cam.uk" # ada@cam.uk`;
  expect(found(text)).toEqual([`password url ${random(20)}`, "email email ada@cam.uk"]);
});

test("randomness is told from words, paths and repetitions", () => {
  expect([random(20), "deadbeefcafe1234", "aaaaaaaaaaaaaaaa1", "abcdefghijklmnopqrst", "1234567890123456"].map(isRandom)).toEqual([true, false, false, false, false]);
  expect(["93.184.216.34", "172.15.0.1", "172.32.0.1", "100.128.0.1", "198.20.0.1"].map(isPublicIPv4)).toEqual([true, true, true, true, true]);
});

test("redaction puts a token of its kind in place of each span and leaves the rest", () => {
  const text = `a@b.uk, 93.184.216.34, postgres://u:hunter22x@h, ghp_${random(36)}.`;
  expect(redact(text, findPersonalData(text))).toBe("<EMAIL>, <IP_ADDRESS>, postgres://u:<PASSWORD>@h, <KEY>.");
  expect(redact("none", [])).toBe("none");
});

test("what was redacted is not found again, and all that stood between is still there", () => {
  const secret = fc.constantFrom("ada@cam.ac.uk", "93.184.216.34", `ghp_${random(36)}`, `AKIA${"Q3EGRJ5XW2NT7LVB"}`, "db_password = 'tr0ub4dor&3'", `token: "${random(30)}"`);
  const text = fc.array(fc.oneof(secret, fc.constantFrom("\n", " ", "x = 1", "# mail", "(", ",")), { maxLength: 20 }).map((parts) => parts.join(" "));
  fc.assert(
    fc.property(text, (each) => {
      const spans = findPersonalData(each);
      const redacted = redact(each, spans);
      expect(findPersonalData(redacted)).toEqual([]);
      let from = 0;
      const between = spans.map(({ start, end }) => [each.slice(from, start), (from = end)][0] as string).concat(each.slice(spans.at(-1)?.end ?? 0));
      expect(redacted.split(/<(?:EMAIL|IP_ADDRESS|KEY|PASSWORD)>/)).toEqual(between);
    }),
  );
});
