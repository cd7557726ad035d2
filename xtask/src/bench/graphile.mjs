// graphile-worker, measured in turns: one is asked for per line of the standard input, and answered with one line of JSON.
// scripts/graphile-worker.sh starts it beside a private PostgreSQL and ends both.
//
//   single N     N jobs that are queued already, one worker, one job at a time: {"jobs", "seconds"}
//   batched N    the same with 24 workers, a local queue of 500 and batched completions, as its documentation recommends for
//                throughput: {"jobs", "seconds"}
//   start N      N times: a job is added to a running worker that has nothing to do: {"ms": [from the call that adds it to the
//                start of its handler, ...]}
//
// The first line says what is measured: {"versions": {...}, "settings": {...}}.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";

const [cache, sockets] = process.argv.slice(2);
const require = createRequire(`${cache}/`);
const { Logger, run, runMigrations, runOnce } = require("graphile-worker");
const { Pool } = require("pg");

const WORKERS = 24;
const pool = new Pool({ host: sockets, user: "bench", database: "postgres", max: WORKERS + 4 });
pool.on("error", (error) => process.stderr.write(`${error}\n`));
pool.on("connect", (client) => client.on("error", () => {}));
const logger = new Logger(() => (level, message) => level === "error" && process.stderr.write(`${message}\n`));
const common = { pgPool: pool, logger, noHandleSignals: true };

function say(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

async function setting(name) {
  return (await pool.query(`SHOW ${name}`)).rows[0][name];
}

// From the start of the first job to the start of the last: neither the start of the workers nor their end is counted.
async function throughput(jobs, options, worker) {
  await pool.query(
    `SELECT graphile_worker.add_job('bench', json_build_object('n', n)) FROM generate_series(1, $1::int) n`,
    [jobs],
  );
  let done = 0;
  let first, last;
  const bench = () => {
    last = performance.now();
    first ??= last;
    done += 1;
  };
  await runOnce({ ...common, ...options, ...(worker && { preset: { worker } }), taskList: { bench } });
  if (done !== jobs) throw new Error(`${done} of ${jobs} jobs were run`);
  return { jobs: jobs - 1, seconds: (last - first) / 1000 };
}

async function starts(count) {
  let started;
  const runner = await run({ ...common, concurrency: 1, taskList: { bench: () => started(performance.now()) } });
  const ms = [];
  try {
    for (let n = -5; n < count; n += 1) {
      // Its worker goes back to sleep.
      await sleep(5);
      const at = new Promise((resolve) => (started = resolve));
      const began = performance.now();
      await runner.addJob("bench", { n });
      const took = (await at) - began;
      if (0 <= n) ms.push(took);
    }
  } finally {
    await runner.stop();
  }
  return { ms };
}

await runMigrations(common);
say({
  versions: {
    "graphile-worker": require("graphile-worker/package.json").version,
    postgresql: await setting("server_version"),
    node: process.versions.node,
  },
  settings: {
    fsync: await setting("fsync"),
    synchronous_commit: await setting("synchronous_commit"),
    wal_sync_method: await setting("wal_sync_method"),
  },
});
const turns = {
  single: (n) => throughput(n, { concurrency: 1 }),
  batched: (n) =>
    throughput(n, {}, { concurrentJobs: WORKERS, localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 }),
  start: starts,
};
for await (const line of createInterface({ input: process.stdin })) {
  const [turn, count] = line.trim().split(" ");
  say(await turns[turn](Number(count)));
}
await pool.end();
