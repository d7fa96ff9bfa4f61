import { Command, Option } from "commander";
import { ALL_QUEUES, liveWorkers, openHome, serverDown, serverStatus, serverUp, workerDown, workerUp, type QueueName, type ServerStatus, type WorkerState } from "@diffucoder/orchestrator";
import { outputOption, print, say, type OutputFormat } from "../output.ts";

export function serverCommand(): Command {
  const up = new Command("up").description("start the embedded Temporal server unless it is up").action(async () => {
    const home = openHome();
    await serverUp(home);
    say(renderServer(await serverStatus(home)));
  });
  const down = new Command("down").description("drain the workers, then stop the embedded server; runs go on after the next start").action(async () => {
    say((await serverDown(openHome())) ? "server stopped" : "server was not up");
  });
  const status = new Command("status")
    .description("where the server is")
    .addOption(outputOption())
    .action(async ({ output }: { output: OutputFormat }) => print(output, await serverStatus(openHome()), renderServer));
  return new Command("server").description("Temporal's server").addCommand(up).addCommand(down).addCommand(status);
}

function renderServer({ kind, isUp, address, ui, version, database }: ServerStatus): string {
  if (!isUp) return `${kind} server: down`;
  const details = [`at ${address}`, ...(version === undefined ? [] : [`version ${version}`]), ...(ui === undefined ? [] : [`pages at ${ui}`]), ...(database === undefined ? [] : [`database ${database}`])];
  return `${kind} server: up ${details.join(", ")}`;
}

export function workerCommand(): Command {
  const up = new Command("up")
    .description("start a worker for queues that none serves yet")
    .addOption(new Option("--queue <queues...>", "queues to serve").choices(ALL_QUEUES).default(ALL_QUEUES, "all"))
    .action(async ({ queue }: { queue: readonly QueueName[] }) => {
      const home = openHome();
      say(renderWorkers(await workerUp(home, (await serverUp(home)).connection.address, queue)));
    });
  const down = new Command("down").description("stop the workers; running stages save a checkpoint for the next one").action(async () => {
    say(`${await workerDown(openHome())} workers stopped`);
  });
  const status = new Command("status")
    .description("workers of this project")
    .addOption(outputOption())
    .action(({ output }: { output: OutputFormat }) => print(output, liveWorkers(openHome()), renderWorkers));
  return new Command("worker").description("processes that run workflows and stages").addCommand(up).addCommand(down).addCommand(status);
}

function renderWorkers(workers: readonly WorkerState[]): string {
  if (workers.length === 0) return "no workers";
  return workers.map(({ pid, queues, running }) => `worker ${pid}: serves ${queues.join(", ")}; ${running} stages at work`).join("\n");
}
