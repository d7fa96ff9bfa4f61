import { isIPv6 } from "node:net";

export type PersonalDataKind = "email" | "ip-address" | "key" | "password";

/** A place in a text, in UTF-16 units, half-open. */
export interface Span {
  readonly kind: PersonalDataKind;
  readonly rule: string;
  readonly start: number;
  readonly end: number;
}

interface Rule {
  readonly kind: PersonalDataKind;
  readonly rule: string;
  /** A text without it holds none; cheaper than the pattern. */
  readonly sign: string | RegExp;
  /** The first group is the span, the whole match where it has none. */
  readonly pattern: RegExp;
  /** Whether a match is one indeed. */
  readonly accept?: (found: string, before: string) => boolean;
}

/**
 * Rules in order of precedence: of two that overlap the earlier in the text stands, then the earlier here.
 *
 * @source the kinds that StarCoder redacts (Li et al., arXiv:2305.06161v2, section 4); the forms of keys are those that
 *   their issuers publish
 */
const RULES: readonly Rule[] = [
  { kind: "key", rule: "private-key", sign: "PRIVATE KEY", pattern: /-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----[^-]{16,16384}-----END (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----/g },
  { kind: "key", rule: "aws", sign: /A[KS]IA/, pattern: /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/g },
  { kind: "key", rule: "github", sign: /gh[pousr]_|github_pat_/, pattern: /\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255})\b/g },
  { kind: "key", rule: "gitlab", sign: "glpat-", pattern: /\bglpat-[\w-]{20,64}/g },
  { kind: "key", rule: "slack", sign: /xox[abprs]-|hooks\.slack/, pattern: /\bxox[abprs]-[\w-]{10,250}|https:\/\/hooks\.slack\.com\/services\/[\w/]{20,90}/g },
  { kind: "key", rule: "stripe", sign: "_live_", pattern: /\b[sr]k_live_[0-9A-Za-z]{20,100}\b/g },
  { kind: "key", rule: "google", sign: "AIza", pattern: /\bAIza[\w-]{35}(?![\w-])/g },
  { kind: "key", rule: "hugging-face", sign: "hf_", pattern: /\bhf_[A-Za-z0-9]{34}\b/g },
  { kind: "key", rule: "openai", sign: "sk-", pattern: /\bsk-[A-Za-z0-9_-]{20,200}/g, accept: isRandom },
  { kind: "key", rule: "npm", sign: "npm_", pattern: /\bnpm_[A-Za-z0-9]{36}\b/g },
  { kind: "key", rule: "pypi", sign: "pypi-", pattern: /\bpypi-[\w-]{50,250}/g },
  { kind: "key", rule: "sendgrid", sign: "SG.", pattern: /\bSG\.[\w-]{22}\.[\w-]{43}(?![\w-])/g },
  { kind: "key", rule: "web-token", sign: "eyJ", pattern: /\beyJ[\w-]{10,2000}\.eyJ[\w-]{10,4000}\.[\w-]{10,1000}/g },
  { kind: "password", rule: "url", sign: "://", pattern: /\b[a-z][a-z0-9+.-]{1,20}:\/\/[^\s:@/'"`<>]{1,64}:([^\s:@/'"`<>]{3,128})@/g, accept: (found) => !isPlaceholder(found) },
  {
    kind: "password",
    rule: "assignment",
    sign: /pass/i,
    pattern: /(?:password|passwd|passphrase)\w{0,20}["']?\s{0,8}(?:=>|[:=])\s{0,8}["']([^"'\s]{6,128})["']/gi,
    accept: (found) => !isPlaceholder(found) && /[^a-z]/.test(found),
  },
  {
    kind: "key",
    rule: "assignment",
    sign: /secret|token|key/i,
    pattern: /(?:secret|token|api_?key|access_?key|auth_?key|private_?key)\w{0,20}["']?\s{0,8}(?:=>|[:=])\s{0,8}["']([\w+/=.~-]{16,256})["']/gi,
    accept: isRandom,
  },
  { kind: "email", rule: "email", sign: "@", pattern: /(?<![\w.%+@/:-])[A-Za-z0-9][\w.%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,6}[A-Za-z]{2,24}(?![\w@-]|\.\w)/g, accept: (found) => !RESERVED_DOMAIN.test(found) },
  { kind: "ip-address", rule: "ipv4", sign: /\d\.\d/, pattern: /(?<![\w.-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)/g, accept: (found, before) => isPublicIPv4(found) && !/(?:version|release|ver\.?|\bv)[\s"'=:]*$/i.test(before) },
  { kind: "ip-address", rule: "ipv6", sign: /[23][0-9a-f]{3}:/i, pattern: /(?<![\w:.])[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]{2,34}(?![\w:.])/g, accept: (found) => isIPv6(found) && !/^2001:0?db8:/i.test(found) },
];

/** Personal data and secrets of a text, in order, none overlapping. */
export function findPersonalData(text: string): Span[] {
  const found = RULES.flatMap((rule) => (isSigned(text, rule.sign) ? [...matchesOf(text, rule)] : []));
  const spans: Span[] = [];
  for (const span of found.sort((a, b) => a.start - b.start)) if (span.start >= (spans.at(-1)?.end ?? 0)) spans.push(span);
  return spans;
}

const isSigned = (text: string, sign: string | RegExp): boolean => (typeof sign === "string" ? text.includes(sign) : sign.test(text));

function* matchesOf(text: string, { kind, rule, pattern, accept = () => true }: Rule): Generator<Span> {
  for (const match of text.matchAll(pattern)) {
    const value = match[1] ?? match[0];
    const start = match.index + match[0].lastIndexOf(value);
    if (accept(value, text.slice(Math.max(0, start - 16), start))) yield { kind, rule, start, end: start + value.length };
  }
}

/** Domains that belong to nobody, and addresses that are no person's. */
const RESERVED_DOMAIN = /@(?:.*\.)?(?:example\.(?:com|org|net|edu)|[\w.-]*\.(?:example|invalid|test|localhost|local)|localhost\.\w+)$|^(?:git|noreply|no-reply)@/i;

function isPlaceholder(value: string): boolean {
  return /[{}<>$%]|\*{3}|\.{3}|^(.)\1*$|^pass$|x{4}|(?:password|passwd|secret|example|changeme|your|test|dummy|foobar|sample|none|null|true|false|user|admin|1234)/i.test(value);
}

/** Letters and digits in no order that a person would choose: at least 3.5 bits a character. */
export function isRandom(value: string): boolean {
  if (isPlaceholder(value) || !/\d/.test(value) || !/[A-Za-z]/.test(value)) return false;
  const counts = new Map<string, number>();
  for (const character of value) counts.set(character, (counts.get(character) ?? 0) + 1);
  const bits = [...counts.values()].reduce((sum, count) => sum - (count / value.length) * Math.log2(count / value.length), 0);
  return bits >= 3.5;
}

/** Neither private, local, reserved nor for documentation, and none of the name servers that everyone writes down. */
export function isPublicIPv4(address: string): boolean {
  if (NAME_SERVERS.has(address)) return false;
  const octets = address.split(".");
  if (octets.some((octet) => Number(octet) > 255 || (octet.length > 1 && octet.startsWith("0")))) return false;
  const [a, b, c] = octets.map(Number) as [number, number, number];
  if (a === 0 || a === 10 || a === 127 || a >= 224) return false;
  if ((a === 100 && b >= 64 && b < 128) || (a === 169 && b === 254) || (a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168) || (a === 198 && (b === 18 || b === 19))) return false;
  return ![[192, 0, 0], [192, 0, 2], [198, 51, 100], [203, 0, 113]].some((net) => net[0] === a && net[1] === b && net[2] === c);
}

const NAME_SERVERS = new Set(["1.1.1.1", "1.0.0.1", "8.8.8.8", "8.8.4.4", "9.9.9.9", "149.112.112.112", "208.67.222.222", "208.67.220.220", "1.2.3.4"]);

const TOKENS: Readonly<Record<PersonalDataKind | "copyright-header", string>> = { "copyright-header": "", email: "<EMAIL>", "ip-address": "<IP_ADDRESS>", key: "<KEY>", password: "<PASSWORD>" };

/** A place in a text that is to have a token, or nothing, in its place. */
export interface Redaction extends Pick<Span, "start" | "end"> {
  readonly kind: keyof typeof TOKENS;
}

/** The text with a token for its kind in place of each span. @param spans in order, none overlapping */
export function redact(text: string, spans: readonly Redaction[]): string {
  let [redacted, from] = ["", 0];
  for (const { kind, start, end } of spans) {
    redacted += text.slice(from, start) + TOKENS[kind];
    from = end;
  }
  return redacted + text.slice(from);
}
