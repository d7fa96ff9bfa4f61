import { execFileSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { accessSync, constants } from "node:fs";
import { createServer, connect as connectTo } from "node:net";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Connection, type ConnectionOptions } from "@temporalio/client";
import { loadClientConnectConfig } from "@temporalio/envconfig";
import { msToTs } from "@temporalio/common/lib/time.js";
import { cacheDirectory } from "@diffucoder/lineage";
import { PortTaken, ServerUnreachable, StartFailed, TemporalMissing } from "./errors.ts";
import type { Home } from "./home.ts";
import { endProcess, isOurs, lastLines, readState, spawnDetached, withLock, writeState } from "./process-state.ts";
import { workerDown } from "./worker.ts";

/** How to reach a Temporal server. */
export interface Server {
  readonly connection: ConnectionOptions & { readonly address: string };
  readonly namespace: string;
  /** Address of its web page, where known. */
  readonly ui?: string;
  /** The embedded server's process; undefined for one that is run elsewhere. */
  readonly pid?: number;
}

interface ServerState {
  readonly pid: number;
  readonly port: number;
  readonly uiPort: number;
  readonly database: string;
  readonly version: string;
}

export interface ServerStatus {
  readonly kind: "embedded" | "external";
  readonly isUp: boolean;
  readonly address?: string;
  readonly ui?: string;
  readonly pid?: number;
  readonly version?: string;
  readonly database?: string;
}

const NAMESPACE = "default";
const START_LIMIT_MS = 30_000;
const MOST_STARTS = 3;
const OLD_PORT_LIMIT_MS = 3000;
// Long, since a training stage may keep all cores busy: a server taken for deaf is started anew.
const ANSWER_LIMIT_MS = 10_000;
const RETENTION = "3650 days";

/** The server that this project uses, started when it is the embedded one and down. */
export async function serverUp(home: Home, env: NodeJS.ProcessEnv = process.env): Promise<Server> {
  const external = externalServer(env);
  if (external !== undefined) return external;
  const running = await runningServer(home);
  if (running !== undefined) return serverOf(running);
  return withLock(join(home.server, "lock"), async () => serverOf((await runningServer(home)) ?? (await startServer(home, env))));
}

/** The server, if it is up: nothing is started. */
export async function findServer(home: Home, env: NodeJS.ProcessEnv = process.env): Promise<Server | undefined> {
  const external = externalServer(env);
  if (external !== undefined) return external;
  const state = await runningServer(home);
  return state === undefined ? undefined : serverOf(state);
}

/** Drains the workers, then ends the embedded server; tells whether it was up. What ran goes on after the next start. */
export async function serverDown(home: Home): Promise<boolean> {
  await workerDown(home);
  const state = readState<ServerState>(stateFile(home));
  if (state === undefined || !isOurs(state.pid, state.database)) return false;
  await endProcess(state.pid, 10_000);
  return true;
}

export async function serverStatus(home: Home, env: NodeJS.ProcessEnv = process.env): Promise<ServerStatus> {
  const external = externalServer(env);
  if (external !== undefined) {
    return { kind: "external", isUp: await answers(external), address: external.connection.address };
  }
  const state = readState<ServerState>(stateFile(home));
  if (state === undefined) return { kind: "embedded", isUp: false };
  const { connection, ui } = serverOf(state);
  const isUp = (await runningServer(home)) !== undefined;
  return { kind: "embedded", isUp, address: connection.address, ui: ui!, pid: state.pid, version: state.version, database: state.database };
}

/** The Temporal executable: the one the environment names, else the first on PATH or in the cache. */
export function findTemporal(env: NodeJS.ProcessEnv = process.env): string {
  const folders = [...(env.PATH ?? "").split(delimiter), join(cacheDirectory(env), "bin")];
  const candidates = env.TEMPORAL_CLI_PATH ? [env.TEMPORAL_CLI_PATH] : folders.map((folder) => join(folder, "temporal"));
  const found = candidates.find(isExecutable);
  if (found === undefined) throw new TemporalMissing();
  return found;
}

/** A server that the environment names, by address or by a profile of Temporal's own configuration. */
function externalServer(env: NodeJS.ProcessEnv): Server | undefined {
  if (!env.TEMPORAL_ADDRESS && !env.TEMPORAL_PROFILE && !env.TEMPORAL_CONFIG_FILE) return undefined;
  const named = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const { connectionOptions, namespace } = loadClientConnectConfig({ overrideEnvVars: Object.fromEntries(named) });
  const { address = "localhost:7233", ...rest } = connectionOptions;
  return { connection: { ...(rest as ConnectionOptions), address }, namespace: namespace ?? NAMESPACE };
}

function serverOf({ pid, port, uiPort }: Pick<ServerState, "pid" | "port" | "uiPort">): Server {
  return { connection: { address: `127.0.0.1:${port}` }, namespace: NAMESPACE, ui: `http://127.0.0.1:${uiPort}`, pid };
}

const stateFile = (home: Home): string => join(home.server, "server.json");

async function runningServer(home: Home): Promise<ServerState | undefined> {
  const state = readState<ServerState>(stateFile(home));
  if (state === undefined || !isOurs(state.pid, state.database)) return undefined;
  return (await answers(serverOf(state))) ? state : undefined;
}

/** Whether the embedded server's process is there; says nothing on its health. */
export function isServerAlive(home: Home): boolean {
  const state = readState<ServerState>(stateFile(home));
  return state !== undefined && isOurs(state.pid, state.database);
}

async function startServer(home: Home, env: NodeJS.ProcessEnv): Promise<ServerState> {
  const executable = findTemporal(env);
  const before = readState<ServerState>(stateFile(home));
  if (before !== undefined && isOurs(before.pid, before.database)) await endProcess(before.pid, 5000); // alive but deaf
  const version = /Server (\d+\.\d+\.\d+)/.exec(execFileSync(executable, ["--version"], { encoding: "utf8" }))?.[1] ?? "unknown";
  // The server does not migrate its database: each version keeps its own.
  const database = join(home.server, `temporal-${version}.db`);
  for (let attempt = 1; ; attempt += 1) {
    // Who follows a run knows the old ports: they are given up only when there is no other way.
    const old = attempt < MOST_STARTS ? before : undefined;
    const port = await choosePort("DIFFUCODER_TEMPORAL_PORT", env, old?.port);
    const uiPort = await choosePort("DIFFUCODER_UI_PORT", env, old?.uiPort);
    try {
      const state = { ...(await launch(executable, { port, uiPort, database }, join(home.server, "server.log"), env)), version };
      await keepClosedRuns(serverOf(state));
      writeState(stateFile(home), state);
      return state;
    } catch (error) {
      // Another process may have taken a port since it was found free.
      if (!(error instanceof StartFailed) || attempt === MOST_STARTS) throw error;
    }
  }
}

async function launch(executable: string, place: Pick<ServerState, "port" | "uiPort" | "database">, log: string, env: NodeJS.ProcessEnv) {
  const { port, uiPort, database } = place;
  const args = ["--ip", "127.0.0.1", "--port", String(port), "--ui-port", String(uiPort), "--db-filename", database, "--log-level", "error"];
  const { pid, ended } = spawnDetached(executable, ["server", "start-dev", ...args], log, env);
  const state = { pid, ...place };
  // A refused gRPC connection waits a second or more before it tries again; a plain one tells at once.
  const isUp = async () => (await isListening(port)) && (await isListening(uiPort)) && (await answers(serverOf(state)));
  for (const deadline = Date.now() + START_LIMIT_MS; !(await isUp()); await sleep(50)) {
    if (!ended() && Date.now() < deadline) continue;
    await endProcess(pid, 1000);
    throw new StartFailed("Temporal server", log, lastLines(log));
  }
  return state;
}

async function answers({ connection, namespace }: Server): Promise<boolean> {
  try {
    const client = await Connection.connect({ ...connection, connectTimeout: ANSWER_LIMIT_MS });
    try {
      await client.workflowService.describeNamespace({ namespace });
      return true;
    } finally {
      await client.close();
    }
  } catch {
    return false;
  }
}

/** The dev server would forget closed runs after a day. */
async function keepClosedRuns({ connection, namespace }: Server): Promise<void> {
  const client = await connect({ connection, namespace });
  try {
    await client.workflowService.updateNamespace({ namespace, config: { workflowExecutionRetentionTtl: msToTs(RETENTION) } });
  } finally {
    await client.close();
  }
}

/** @throws ServerUnreachable */
export async function connect({ connection }: Server): Promise<Connection> {
  try {
    return await Connection.connect(connection);
  } catch (error) {
    throw new ServerUnreachable(connection.address, error);
  }
}

/** The port that the user demands, else the one used before, else a free one. */
async function choosePort(variable: string, env: NodeJS.ProcessEnv, before: number | undefined): Promise<number> {
  const demanded = env[variable];
  if (demanded) {
    const port = Number(demanded);
    if (!(await isFree(port))) throw new PortTaken(port, variable);
    return port;
  }
  if (before !== undefined && (await isSoonFree(before))) return before;
  for (;;) {
    // Below the range from which systems hand out ports by themselves, so that none is taken between here and the start.
    const port = randomInt(20_000, 30_000);
    if (await isFree(port)) return port;
  }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connectTo(port, "127.0.0.1");
    probe.once("error", () => resolve(false));
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
  });
}

/** The sockets of a process that was killed just now may stay for a moment. */
async function isSoonFree(port: number): Promise<boolean> {
  for (const deadline = Date.now() + OLD_PORT_LIMIT_MS; ; await sleep(50)) {
    if (await isFree(port)) return true;
    if (Date.now() >= deadline) return false;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
