// Keeps things on the server soon after they changed: of each, one request after the other, and what failed is known
// until it succeeds. What is sent is said by whoever has the things.

export class Keeping {
  private readonly timers = new Map<string, ReturnType<typeof setTimeout>>();
  private readonly running = new Map<string, Promise<void>>();
  private readonly failures = new Map<string, string>();

  /**
   * @param send lets the server have the thing as it is now; rejects where that fails
   * @param told is called when a thing was sent, or was not
   */
  constructor(
    private readonly send: (id: string) => Promise<void>,
    private readonly told: () => void,
  ) {}

  /** What the server does not have as it is here. */
  get unkept(): string[] {
    return [...new Set([...this.timers.keys(), ...this.running.keys(), ...this.failures.keys()])];
  }

  /** Why something is not kept; empty where nothing failed. */
  get error(): string {
    return [...this.failures.values()][0] ?? "";
  }

  soon(id: string, afterMs: number): void {
    clearTimeout(this.timers.get(id));
    this.timers.set(
      id,
      setTimeout(() => void this.now(id), afterMs),
    );
  }

  now(id: string): Promise<void> {
    clearTimeout(this.timers.get(id));
    this.timers.delete(id);
    const sent = (this.running.get(id) ?? Promise.resolve())
      .then(() => this.send(id))
      .then(
        () => void this.failures.delete(id),
        (error: unknown) =>
          void this.failures.set(id, error instanceof Error ? error.message : String(error)),
      )
      .then(() => {
        if (this.running.get(id) === sent) this.running.delete(id);
        this.told();
      });
    this.running.set(id, sent);
    return sent;
  }

  /** Send at once what waits, and once more what failed; resolves when all were tried. */
  async settle(): Promise<void> {
    await Promise.all(
      this.unkept.map((id) =>
        this.timers.has(id) || !this.running.has(id) ? this.now(id) : this.running.get(id),
      ),
    );
  }
}
