import { DefaultLogger, NativeConnection, Runtime, Worker } from "@temporalio/worker";
import { cacheDirectory } from "@diffucoder/lineage";
import { createActivities } from "./activities.ts";
import { openHome } from "./home.ts";
import { writeState } from "./process-state.ts";
import { serverUp } from "./server.ts";
import { loadRegistry } from "./stages.ts";
import { ALL_QUEUES, workerStateFile, type WorkerState } from "./worker.ts";
import { workflowBundle } from "./workflow-bundle.ts";
import { queuesOf, type QueueName, type Queues } from "./workflows/contract.ts";

// Cancellation reaches an activity only in answer to a heartbeat.
const HEARTBEAT_MS = 500;
// A training stage uses the whole machine, so there is one slot for it; data stages are content with a core.
const SLOTS: Record<keyof Queues, number> = { control: 20, cpu: 2, train: 1, numerics: 20 };
const SERVED: Record<QueueName, readonly (keyof Queues)[]> = { control: ["control"], cpu: ["cpu"], train: ["train", "numerics"] };

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
    try {
      record();
    } catch {
      // The count only tells whether the worker may be replaced; a full disk shows in the stage itself.
    }
  },
});
const taskQueues = queuesOf(home.storeId);
const workers = await Promise.all(
  queues.flatMap((name) => SERVED[name]).map((queue) =>
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
