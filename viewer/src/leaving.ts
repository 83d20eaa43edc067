// Whether the shown case may be left: what it has that is kept nowhere else is kept, and what cannot be kept is lost
// only when somebody has agreed to lose just that. It knows no page, and keeps nothing itself.

export interface Keeper {
  /** Keep what can be kept; resolves as well where that fails. */
  keep(): Promise<unknown>;
  /** What would be lost now, in words that differ where it differs; empty: nothing. */
  lost(): string;
  /** What a person is told about it. */
  problem(): string;
}

/** One leave of a case. It may be asked several times: nobody is asked twice about the same. */
export class Leaving {
  private readonly agreed = new Map<Keeper, string>();

  constructor(
    private readonly keepers: readonly Keeper[],
    private readonly confirm: (question: string) => boolean,
  ) {}

  /** Whether nothing is lost against somebody's will, as things are when this resolves. */
  async allowed(): Promise<boolean> {
    await Promise.all(this.keepers.map((each) => each.keep()));
    return this.keepers.every((each) => {
      const lost = each.lost();
      if (!lost || this.agreed.get(each) === lost) return true;
      if (!this.confirm(`${each.problem()} Leave this case all the same?`)) return false;
      this.agreed.set(each, lost);
      return true;
    });
  }
}

export interface Wish {
  place: URL;
  pushed: boolean; // a new entry of the history; else the browser went back or forward, and the address is there already
}

/** What a way leads through: the browser, and the case that it shows. */
export interface Ground {
  /** Path and question of the address. */
  address(): string;
  push(place: string): void;
  /** Go there as the browser does. */
  assign(place: URL): void;
  /** Whether cases are exchanged between these places without a new page. */
  exchangeable(place: URL): boolean;
  leaving(): Leaving;
  /** The page of the case; null where the server gives none. */
  fetch(place: URL): Promise<Document | null>;
  /** Show it in place of the case before. At once: nothing happens in between. */
  exchange(place: URL, page: Document): void;
  /** The case before is shown on, though another was asked for. */
  stayed(): void;
}

export const placeOf = ({ pathname, search }: { pathname: string; search: string }): string =>
  pathname + search;

/** Goes from case to case, one after the other; who asks for another meanwhile goes there instead. */
export class Way {
  private wish: Wish | null = null;
  private going = false;

  constructor(
    private readonly ground: Ground,
    private shown: string, // path and question of the case that is shown
  ) {}

  async go(wish: Wish): Promise<void> {
    this.wish = wish;
    if (this.going) return;
    this.going = true;
    try {
      while (this.wish) {
        const next: Wish = this.wish;
        this.wish = null;
        if (placeOf(next.place) !== this.shown) await this.change(next);
      }
    } finally {
      this.going = false;
      this.nameShown();
    }
  }

  private async change({ place, pushed }: Wish): Promise<void> {
    const { ground } = this;
    if (!ground.exchangeable(place)) return this.depart(place);
    const leaving = ground.leaving();
    if (!(await leaving.allowed())) return this.stay();
    if (this.superseded(place)) return;
    const page = await ground.fetch(place);
    if (this.superseded(place)) return;
    if (!page) return this.depart(place); // the browser shows what there is instead: a sign-in, a refusal
    if (!(await leaving.allowed())) return this.stay(); // what came since then is asked for as well
    if (pushed || ground.address() !== placeOf(place)) ground.push(place.href);
    this.shown = placeOf(place);
    ground.exchange(place, page);
  }

  private superseded(place: URL): boolean {
    if (this.wish && placeOf(this.wish.place) === placeOf(place)) this.wish = null; // the same once more
    return this.wish !== null;
  }

  private stay(): void {
    this.wish = null; // whoever stays goes nowhere else either
    this.ground.stayed();
  }

  private depart(place: URL): void {
    this.nameShown(); // the browser may ask as well, and be told no
    this.ground.assign(place);
  }

  /** Let the address name what is shown: going back has changed it already. */
  private nameShown(): void {
    if (this.ground.address() !== this.shown) this.ground.push(this.shown);
  }
}
