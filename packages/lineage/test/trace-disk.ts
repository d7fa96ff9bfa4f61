import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "./temporary.ts";

interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly cat: string;
  readonly args: { readonly path?: string; readonly src?: string; readonly old_path?: string; readonly dest?: string; readonly new_path?: string };
}

/**
 * Runs a program in a Node of its own and returns what it did to the disk for good, in order, as Node's own trace has it:
 * `fsync PATH`, `rename FROM TO`, `link FROM TO`.
 */
export function traceDisk(program: string): string[] {
  const folder = temporaryFolder();
  const [module, log] = [join(folder, "program.ts"), join(folder, "trace.json")];
  writeFileSync(module, program);
  execFileSync(process.execPath, ["--trace-event-categories", "node.fs.async", "--trace-event-file-pattern", log, module]);
  const { traceEvents } = JSON.parse(readFileSync(log, "utf8")) as { traceEvents: TraceEvent[] };
  let opened = "";
  return traceEvents.flatMap(({ name, ph, cat, args }) => {
    if (ph !== "b" || !cat.includes("node.fs")) return [];
    if (name === "open") opened = args.path!;
    if (name === "fsync") return [`fsync ${opened}`];
    if (name === "rename") return [`rename ${args.old_path} ${args.new_path}`];
    return name === "link" ? [`link ${args.src} ${args.dest}`] : [];
  });
}
