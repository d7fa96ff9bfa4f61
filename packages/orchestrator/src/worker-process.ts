import { DefaultLogger, NativeConnection, Runtime, Worker } from "@temporalio/worker";
import { createActivities } from "./activities.ts";
import { cacheDirectory, openHome } from "./home.ts";
import { writeState } from "./process-state.ts";
import { serverUp } from "./server.ts";
import { loadRegistry } from "./stages.ts";
import { ALL_QUEUES, workerStateFile, type WorkerState } from "./worker.ts";
import { workflowBundle } from "./workflow-bundle.ts";
import { queuesOf, type QueueName } from "./workflows/contract.ts";

// Cancellation reaches an activity only in answer to a heartbeat.
const HEARTBEAT_MS = 500;
// Corpus stages use one core each; the training slot is one, since a training stage uses them all.
const SLOTS: Record<QueueName, number> = { control: 20, cpu: 2, train: 1 };

const home = openHome();
const queues = process.argv.slice(2).filter((name): name is QueueName => (ALL_QUEUES as readonly string[]).includes(name));
const code = process.env.DIFFUCODER_WORKER_CODE ?? "";
const stateFile = workerStateFile(home, queues);

Runtime.install({ logger: new DefaultLogger("WARN"), shutdownSignals: [] });
const [server, registry, codePath] = await Promise.all([serverUp(home), loadRegistry(), workflowBundle(cacheDirectory())]);
const { address, tls, apiKey, metadata } = server.connection;
const connection = await NativeConnection.connect({
  address,
  ...(tls === undefined ? {} : { tls }),
  ...(typeof apiKey === "string" ? { apiKey } : {}),
  ...(metadata === undefined ? {} : { metadata }),
});

let running = 0;
const record = (): void => writeState(stateFile, { pid: process.pid, queues, address, code, running } satisfies WorkerState);
const activities = await createActivities({
  home,
  registry,
  onLoad: (count) => {
    running = count;
    record();
  },
});
const taskQueues = queuesOf(home.storeId);
const workers = await Promise.all(
  queues.map((queue) =>
    Worker.create({
      connection,
      namespace: server.namespace,
      taskQueue: taskQueues[queue],
      activities: activities[queue],
      ...(queue === "control" ? { workflowBundle: { codePath } } : {}),
      maxConcurrentActivityTaskExecutions: SLOTS[queue],
      maxHeartbeatThrottleInterval: HEARTBEAT_MS,
      stickyQueueScheduleToStartTimeout: "1 second",
    }),
  ),
);
const stop = (): void => {
  for (const worker of workers) if (worker.getState() === "RUNNING") worker.shutdown();
};
process.on("SIGTERM", stop).on("SIGINT", stop);
const ends = workers.map((worker) => worker.run());
record();
await Promise.all(ends);
await connection.close();
process.exit(0); // esbuild's service would keep the process
