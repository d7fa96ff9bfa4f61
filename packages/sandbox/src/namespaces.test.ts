import { expect, it } from "vitest";
import { fixFor, hasManyUsers } from "./namespaces.ts";

it.each([
  ["/proc/sys/kernel/unprivileged_userns_clone", "0\n", "`sudo sysctl kernel.unprivileged_userns_clone=1`"],
  ["/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n", "`sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`"],
  ["/proc/sys/user/max_user_namespaces", "0\n", "`sudo sysctl user.max_user_namespaces=10000`"],
])("%s at %j names its fix", (file, value, fix) => {
  expect(fixFor("bwrap: No permissions to create new namespace", (name) => (name === file ? value : undefined))).toBe(`Allow user namespaces: ${fix}.`);
});

it("names all settings that are in the way", () => {
  const values: Record<string, string> = { "/proc/sys/kernel/unprivileged_userns_clone": "0", "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1", "/proc/sys/user/max_user_namespaces": "96365" };
  expect(fixFor("", (name) => values[name])).toBe("Allow user namespaces: `sudo sysctl kernel.unprivileged_userns_clone=1 && sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`.");
});

it.each([
  ["bwrap: Can't mount proc on /newroot/proc: Operation not permitted", "systempaths=unconfined"],
  ["bwrap: Creating new namespace failed: Operation not permitted", "seccomp=unconfined"],
  ["bwrap: Can't find source path /home/me/packages: Permission denied", "that every user can read"],
  ["a processor other than x86_64 and aarch64", "such a machine"],
])("where no setting is in the way, %s is told apart", (words, fix) => expect(fixFor(words, () => undefined)).toContain(fix));

it("root is one user of many unless its namespace maps one alone", () => {
  expect(hasManyUsers("         0          0 4294967295\n")).toBe(true);
  expect(hasManyUsers("         0       1000          1\n")).toBe(false);
  expect(hasManyUsers("         0       1000          1\n         1     100000      65536\n")).toBe(true);
});
