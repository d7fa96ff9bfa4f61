import type { CorpusRecipe } from "./config.ts";
import type { DataCard } from "./data-card.ts";
import { MINHASH_PRESETS, type MinHashScheme } from "./near-duplicates/minhash-scheme.ts";

type Recipe<K extends keyof CorpusRecipe> = NonNullable<CorpusRecipe[K]>;

/** What a preset sets where the recipe says nothing. */
interface Preset {
  readonly keeper: Recipe<"keeper">;
  readonly clusters: Recipe<"clusters">;
  readonly licences?: Recipe<"licences">;
  readonly nearDuplicates?: Recipe<"nearDuplicates">;
  readonly quality?: Recipe<"quality">;
  readonly personalData?: Recipe<"personalData">;
  readonly copyrightHeaders?: Recipe<"copyrightHeaders">;
}

/**
 * Corpora by name.
 *
 * - `none`: what the cards say and nothing else.
 * - `refinecode`: one copy by stars, then the newest; near-duplicates at 0.7; all quality rules; personal data redacted,
 *   copyright headers stripped.
 *   @deviation the paper says 16 bands of 128 rows, which finds only near copies; the two numbers are read the other way
 *   round, as its successors report. `nearDuplicates: { threshold: 0.7, scheme: refinecode-paper }` is to the letter.
 * - `stack-v2-like`: permissive licence or none found; near-duplicates at 0.7 in connected components; the few filters of
 *   StarCoder2; personal data redacted.
 *
 * @source Huang et al., arXiv:2411.04905v3, section 2.1; Lozhkov et al., arXiv:2402.19173v1, sections 2 and 4
 */
const PRESETS: Readonly<Record<CorpusRecipe["preset"], Preset>> = {
  none: { keeper: "first", clusters: "star" },
  refinecode: {
    keeper: "most-stars",
    clusters: "star",
    nearDuplicates: { threshold: 0.7, scheme: "refinecode-swapped" },
    quality: { thresholds: "refinecode", changes: {} },
    personalData: "redact",
    copyrightHeaders: "strip",
  },
  "stack-v2-like": {
    keeper: "most-stars",
    clusters: "components",
    licences: { allow: ["permissive"], unknown: "keep" },
    nearDuplicates: { threshold: 0.7, scheme: "stack" },
    quality: { thresholds: "stack-v2-like", changes: {} },
    personalData: "redact",
  },
};

/** A recipe with its preset filled in, and its cards. */
export interface Policy extends Preset {
  readonly languages?: readonly string[];
  readonly decontamination?: Recipe<"decontamination">;
  readonly cards: readonly DataCard[];
  readonly workers: number;
}

export function policyOf(recipe: CorpusRecipe, cards: readonly DataCard[], workers: number): Policy {
  const { keeper, clusters, licences, nearDuplicates, quality, personalData, copyrightHeaders, languages, decontamination } = recipe;
  const given = { keeper, clusters, licences, nearDuplicates, quality, personalData, copyrightHeaders, languages, decontamination };
  return { ...PRESETS[recipe.preset], ...withoutUndefined(given), cards, workers };
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

const withoutUndefined = <T extends object>(value: T): Defined<T> => Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as Defined<T>;

/** Sources whose documents are compared with each other, by the threshold that they share. */
export function nearDuplicateGroups({ nearDuplicates, cards }: Policy): { readonly threshold: number; readonly scheme: MinHashScheme; readonly sources: readonly string[] }[] {
  if (nearDuplicates !== undefined) {
    return [{ threshold: nearDuplicates.threshold, scheme: MINHASH_PRESETS[nearDuplicates.scheme], sources: cards.map(({ id }) => id) }];
  }
  const thresholds = new Set(cards.flatMap((card) => card.nearDuplicates?.threshold ?? []));
  return [...thresholds].map((threshold) => ({
    threshold,
    scheme: MINHASH_PRESETS.standard,
    sources: cards.filter((card) => card.nearDuplicates?.threshold === threshold).map(({ id }) => id),
  }));
}
