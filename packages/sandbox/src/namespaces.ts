import { readFileSync } from "node:fs";

/** Settings that keep an unprivileged user from making namespaces, and the value that lets it. */
const SETTINGS = [
  { file: "/proc/sys/kernel/unprivileged_userns_clone", isClosed: (value: number) => value === 0, fix: "sudo sysctl kernel.unprivileged_userns_clone=1" },
  { file: "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", isClosed: (value: number) => value === 1, fix: "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0" },
  { file: "/proc/sys/user/max_user_namespaces", isClosed: (value: number) => value < 64, fix: "sudo sysctl user.max_user_namespaces=10000" },
];

/** What to do about a bubblewrap that could not start, from its last words and this machine's settings. */
export function fixFor(words: string, read: (file: string) => string | undefined = readSetting): string {
  const closed = SETTINGS.filter(({ file, isClosed }) => {
    const value = read(file);
    return value !== undefined && isClosed(Number(value));
  });
  if (closed.length > 0) return `Allow user namespaces: \`${closed.map(({ fix }) => fix).join(" && ")}\`.`;
  if (/source path|\/packages/.test(words)) return "Give a folder of packages that is there and that every user can read.";
  if (/processor other than/.test(words)) return "Run it on such a machine.";
  if (/proc/.test(words)) return "Let containers mount /proc: `docker run --security-opt systempaths=unconfined --security-opt seccomp=unconfined`.";
  return "Allow user namespaces: in a container `docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined`.";
}

function readSetting(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined; // this kernel does not have it
  }
}

/** False in a user namespace in which root is the only user; it is some unprivileged user outside then. */
export function hasManyUsers(map = readSetting("/proc/self/uid_map")): boolean {
  return map === undefined || map.trim().split("\n").some((line) => Number(line.trim().split(/\s+/)[2]) > 1);
}
