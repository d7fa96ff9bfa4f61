/** What a preset says of a recipe's slots; a recipe that says otherwise has the last word, key by key. */
export interface Preset {
  readonly logProbs: { readonly masks: string } & Readonly<Record<string, unknown>>;
  readonly objective: { readonly kind: string } & Readonly<Record<string, unknown>>;
  readonly reward: { readonly kind: string };
  readonly [slot: string]: unknown;
}

const corrected: Preset = {
  logProbs: { masks: "coupled" },
  objective: { kind: "token" },
  reward: { kind: "weighted" },
};

/**
 * Algorithms by name: how log-probabilities are estimated, what is optimized, what the baseline and the reference are. Sizes and learning
 * rates stay the recipe's.
 *
 * `corrected` is coupled-GRPO as this project has it. `paper` follows eq. 13 and algorithm 1 of arXiv:2506.20639v2, `as-released` the code
 * published with it, where one mask serves both updates of a round, the noise level is drawn once for a batch, the reference keeps 40 % of
 * itself, and a sandbox that fails means a reward of 0 (left out: one such level for each micro-batch, and means over micro-batches).
 * `decoupled` is the paper's ablation with two masks that know nothing of each other. `d1` is arXiv:2504.12216: one pass, all hidden, and 15 % of the prompt.
 * `espo` (arXiv:2512.03559) and `stable-drl` (arXiv:2603.06743) have one ratio for each completion; their bound comes from a coupled pair in this noise range.
 */
export const PRESETS = {
  corrected,
  paper: { ...corrected, logProbs: { masks: "coupled", weights: "inverse-level" }, objective: { kind: "token", clip: 0.5 }, advantage: "mean" },
  "as-released": {
    ...corrected,
    logProbs: { masks: "coupled", weights: "inverse-level", drawnPer: "round", levelPer: "batch" },
    objective: { kind: "token", clip: 0.5 },
    referenceShare: 0.6,
    faults: "zero",
  },
  decoupled: { ...corrected, logProbs: { masks: "independent" } },
  d1: { ...corrected, logProbs: { masks: "full", promptNoise: 0.15 }, objective: { kind: "token", clip: 0.5 }, advantage: "mean", klWeight: 0.04 },
  espo: { ...corrected, logProbs: { masks: "coupled", fullPass: false, weights: "inverse-level" }, objective: { kind: "sequence" } },
  "stable-drl": { ...corrected, logProbs: { masks: "coupled", fullPass: false, weights: "inverse-level" }, objective: { kind: "stable" } },
} satisfies Record<string, Preset>;

export type PresetName = keyof typeof PRESETS;
export const PRESET_NAMES = Object.keys(PRESETS) as [PresetName, ...PresetName[]];

/** A recipe as given, with its preset's slots where it says nothing. A slot of another kind than the preset's is taken as it is. */
export function withPreset(given: unknown): unknown {
  if (!isRecord(given)) return given;
  const { preset = "corrected" } = given;
  const slots: unknown = typeof preset === "string" && Object.hasOwn(PRESETS, preset) ? PRESETS[preset as PresetName] : corrected; // a wrong name is the schema's to refuse
  const merged: Record<string, unknown> = { ...given };
  for (const [key, slot] of Object.entries(slots as Preset)) merged[key] = mergeSlot(slot, given[key]);
  return merged;
}

function mergeSlot(slot: unknown, given: unknown): unknown {
  if (given === undefined) return slot;
  if (!isRecord(slot) || !isRecord(given)) return given;
  const isOfOtherKind = ["masks", "kind"].some((tag) => given[tag] !== undefined && given[tag] !== slot[tag]);
  return isOfOtherKind ? given : { ...slot, ...given };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
