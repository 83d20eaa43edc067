// What is there of each slice of a volume: nothing, a preview or all of it. Pure.

/** How good a slice is, as the engine tells it, when every voxel is the stored one. */
const WHOLE = 8;

export class SliceTable {
  /** Resolves when something of every slice is there: nothing empty would be drawn as tissue. */
  readonly coarse: Promise<void>;
  /** Resolves when every voxel is the stored one. */
  readonly complete: Promise<void>;
  there = 0; // slices of which there is something
  whole = 0; // and all
  private readonly quality: Uint8Array;
  private readonly settle: { resolve(): void; fail(error: Error): void }[] = []; // of these two

  constructor(readonly count: number) {
    this.quality = new Uint8Array(count);
    const settled = () => new Promise<void>((resolve, fail) => this.settle.push({ resolve, fail }));
    this.coarse = settled();
    this.complete = settled();
    for (const each of [this.coarse, this.complete]) each.catch(() => undefined); // whoever waits is told
  }

  get isComplete(): boolean {
    return this.whole === this.count;
  }

  /** Take over what the slices are now; none becomes worse. */
  take(qualities: ArrayLike<number | undefined>): void {
    for (let at = 0; at < this.count; at++) {
      const [before, now] = [this.quality[at] ?? 0, qualities[at] ?? 0];
      if (now <= before) continue;
      this.quality[at] = now;
      if (!before) this.there += 1;
      if (now >= WHOLE) this.whole += 1;
    }
    if (this.there === this.count) this.settle[0]?.resolve();
    if (this.isComplete) this.settle[1]?.resolve();
  }

  /** No more comes: what is not whole now never will be. */
  end(why: string): void {
    if (this.isComplete) return;
    for (const each of this.settle) each.fail(new Error(why));
  }

  /**
   * Whether what is drawn through these places along the volume, counted in slices, uses one that is not whole. An
   * ellipse that lies aslant reaches beyond the ends of its axes, by the root of two at most.
   */
  isUnfinished(depths: readonly number[]): boolean {
    if (this.isComplete) return false;
    const [least, most] = [Math.min(...depths), Math.max(...depths)];
    const reach = ((most - least) / 2) * Math.SQRT2;
    const [from, to] = [(least + most) / 2 - reach, (least + most) / 2 + reach];
    if (!Number.isFinite(from) || !Number.isFinite(to)) return true; // nobody knows where it is
    const last = Math.min(this.count - 1, Math.ceil(to));
    for (let at = Math.max(0, Math.floor(from)); at <= last; at++)
      if ((this.quality[at] ?? 0) < WHOLE) return true;
    return false;
  }
}
