import type { JsonObject, JsonValue } from "@diffucoder/lineage";

/** Settings with changes merged in key by key; lists and plain values are replaced whole. */
export function mergeSettings(settings: JsonObject, changes: JsonObject = {}): JsonObject {
  const merged: Record<string, JsonValue> = { ...settings };
  for (const [key, value] of Object.entries(changes)) {
    const before = merged[key];
    merged[key] = isObject(before) && isObject(value) ? mergeSettings(before, value) : value;
  }
  return merged;
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
