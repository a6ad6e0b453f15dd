// Every event goes into the browser's own store first, then to the server, and leaves the store when the server has said
// that it is on the disk. Order is kept; what is sent twice is stored once.

import * as server from "./server";
import type { Event, Refusal } from "./types";

export type Light = "saved" | "saving" | "unsaved";

const RETRY_MS = [300, 1000, 2000, 4000, 8000];
const AT_ONCE = 50;
const POINTS_AT_ONCE = 60_000; // of strokes; the server takes 4 MB at once

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("the browser's store failed"));
  });
}

function finished(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = transaction.onerror = () => reject(transaction.error ?? new Error("not kept"));
  });
}

interface Entry {
  number: IDBValidKey | null; // of the browser's store; null where it is not there
  tried: boolean; // it is there, or could not be put there: it may be sent
  event: Event;
}

export class Outbox {
  private waiting: Entry[] = [];
  private sending = false;
  private failures = 0;
  private timer = 0;
  refused: Refusal[] = [];
  kept = true; // false where the browser offers no store, or no room in it
  trouble = "";

  private constructor(
    private readonly database: IDBDatabase | null,
    private readonly changed: () => void,
  ) {
    this.kept = database !== null;
  }

  /** Open the store of this study, set of marks and person, with all that waits in it. */
  static async open(name: string, changed: () => void): Promise<Outbox> {
    let database: IDBDatabase | null = null;
    try {
      const request = indexedDB.open(name, 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore("waiting", { autoIncrement: true });
        request.result.createObjectStore("refused", { autoIncrement: true });
      };
      database = await done(request);
    } catch {
      database = null;
    }
    const box = new Outbox(database, changed);
    if (database) {
      const transaction = database.transaction(["waiting", "refused"]);
      const [keys, events, refused] = await Promise.all([
        done(transaction.objectStore("waiting").getAllKeys()),
        done(transaction.objectStore("waiting").getAll() as IDBRequest<Event[]>),
        done(transaction.objectStore("refused").getAll() as IDBRequest<Refusal[]>),
      ]);
      box.waiting = keys.map((number, i) => ({ number, tried: true, event: events[i] }));
      box.refused = refused;
      void navigator.storage?.persist?.();
    }
    addEventListener("online", () => box.retry());
    addEventListener("focus", () => box.retry());
    box.retry();
    return box;
  }

  /** Try to send now, whatever was waited for. */
  retry(): void {
    this.soon(0);
  }

  get light(): Light {
    if (this.waiting.length === 0) return "saved";
    return this.failures ? "unsaved" : "saving";
  }

  get count(): number {
    return this.waiting.length;
  }

  /** How many the browser does not have on its disk yet, a matter of milliseconds. */
  get storing(): number {
    return this.waiting.filter((entry) => !entry.tried).length;
  }

  pending(key: string): Event[] {
    return this.waiting.map((entry) => entry.event).filter((event) => event.case === key);
  }

  /** The image of the newest stroke that waits, unless the image was left after it: the server knows nothing of it yet. */
  get begun(): string | null {
    const left = new Set<string>();
    for (const { event } of [...this.waiting].reverse()) {
      if (event.kind === "visit") left.add(event.case);
      else if (event.kind === "stroke" && !left.has(event.case)) return event.case;
    }
    return null;
  }

  async add(event: Event): Promise<void> {
    const entry: Entry = { number: null, tried: false, event };
    this.waiting.push(entry);
    this.changed();
    try {
      if (this.database) entry.number = await this.store(this.database, event);
    } catch {
      this.kept = false; // the server is to have it all the same
    }
    entry.tried = true;
    this.changed();
    this.soon(0);
  }

  private async store(database: IDBDatabase, event: Event): Promise<IDBValidKey> {
    const transaction = database.transaction("waiting", "readwrite", { durability: "strict" });
    const request = transaction.objectStore("waiting").add(event);
    transaction.commit(); // without waiting for a turn of this page, which may be closed before it comes
    await finished(transaction);
    return request.result;
  }

  /** Take out what the server refused; whoever calls has kept it elsewhere. */
  async putAway(): Promise<void> {
    if (this.database) {
      const transaction = this.database.transaction("refused", "readwrite");
      transaction.objectStore("refused").clear();
      await finished(transaction);
    }
    this.refused = [];
    this.changed();
  }

  private soon(delay: number): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.flush(), delay);
  }

  private async flush(): Promise<void> {
    if (this.sending || this.waiting.length === 0) return;
    this.sending = true;
    const batch = this.batch();
    try {
      if (batch.length) {
        const answer = await server.send(batch.map((entry) => entry.event));
        const gone = new Set([...answer.saved, ...answer.refused.map((refusal) => refusal.id)]);
        const wrong = answer.refused.map((refusal) => ({
          event: batch.find((entry) => entry.event.id === refusal.id)!.event,
          reason: refusal.reason,
        }));
        await this.forget(batch.filter((entry) => gone.has(entry.event.id)), wrong);
      }
      this.failures = 0;
      this.trouble = "";
    } catch (error) {
      this.failures++;
      this.trouble = error instanceof server.Refused ? error.message : "the server does not answer";
    }
    this.sending = false;
    this.changed();
    if (this.waiting.length) this.soon(this.failures ? RETRY_MS[Math.min(this.failures, RETRY_MS.length) - 1] : 0);
  }

  /** The first ones that wait, as many as the server takes at once. */
  private batch(): Entry[] {
    const stored = this.waiting.filter((entry) => entry.tried).slice(0, AT_ONCE);
    let points = 0;
    const enough = stored.findIndex(({ event }, i) => {
      points += "points" in event ? event.points.length : 0;
      return i > 0 && points > POINTS_AT_ONCE;
    });
    return enough < 0 ? stored : stored.slice(0, enough);
  }

  private async forget(entries: Entry[], wrong: Refusal[]): Promise<void> {
    try {
      const transaction = this.database?.transaction(["waiting", "refused"], "readwrite");
      for (const { number } of entries) if (number !== null) transaction?.objectStore("waiting").delete(number);
      for (const refusal of wrong) transaction?.objectStore("refused").add(refusal);
      if (transaction) await finished(transaction);
    } catch {
      this.kept = false; // what is still there is sent once more at the next visit, and stored once
    }
    this.waiting = this.waiting.filter((entry) => !entries.includes(entry));
    this.refused.push(...wrong);
  }
}
