/** Runs tasks, at most `limit` at a time; the first failure is thrown once all that had begun have ended. */
export class BoundedWork<T> {
  readonly #limit: number;
  readonly #running = new Set<Promise<void>>();
  readonly #results: T[] = [];
  #added = 0;
  #failures: unknown[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Begins a task when there is room. @throws what an earlier task failed of */
  async add(task: () => Promise<T>): Promise<void> {
    while (this.#running.size >= this.#limit) await Promise.race(this.#running);
    if (this.#failures.length > 0) await this.results();
    const place = this.#added++;
    const running: Promise<void> = task()
      .then(
        (result) => void (this.#results[place] = result),
        (error: unknown) => void this.#failures.push(error),
      )
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** In the order of the tasks. */
  async results(): Promise<T[]> {
    await Promise.all(this.#running);
    if (this.#failures.length > 0) throw this.#failures[0];
    return this.#results;
  }
}
