import { run, which } from "./command.js";
import { SetupError } from "./steps.js";

const INSTALL = "apt-get install -y bubblewrap python3";

/** Bubblewrap and Python, for running generated programs. */
export const sandboxTools = {
  name: "sandbox tools",
  megabytes: 60,
  after: [],
  check: async () => ((await which("bwrap")) && (await which("python3")) ? "bubblewrap, Python" : undefined),
  run: async () => {
    const canInstall = process.getuid?.() === 0 && (await which("apt-get")) !== undefined;
    if (!canInstall) throw new SetupError("sandbox tools: expected bwrap and python3 on the PATH, found one missing", `sudo ${INSTALL}`);
    const [command, ...args] = INSTALL.split(" ");
    const quiet = { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" }, next: `apt-get update && ${INSTALL}` };
    await run(command, args, quiet).catch(async () => {
      await run("apt-get", ["update"], quiet); // a fresh machine has no package lists yet
      await run(command, args, quiet);
    });
    return "installed";
  },
};
