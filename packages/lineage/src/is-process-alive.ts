import { readFileSync } from "node:fs";

/** Whether a process of this machine has not ended. One that has and is not yet reaped still takes signals, but is dead. */
export function isProcessAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"; // another user's
  }
  try {
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return true; // not Linux, or ended between the two looks, which the next one will see
  }
}
