// One image after the other: what is before the reader, what comes next, and what is done with it.

import { type Frame, FrameCache, type Window } from "./frames";
import { Hints } from "./hints";
import { Layer } from "./layer";
import { Outbox } from "./outbox";
import * as server from "./server";
import type { Event, Following, Mark, Point, Session, Structure, Suggestion, Verdict, Visited } from "./types";
import { View } from "./view";

export type Tool = "brush" | "erase" | "none" | "ruler" | "window";

const AHEAD = 3;
const LONGEST_PAUSE_MS = 15_000;
const REMEMBERED = 200;

export class Work {
  readonly structures: Structure[]; // the last one is "none of these"
  tool: Tool = "brush";
  structure = 0;
  share = Number(localStorage.getItem("brush") ?? 0.025); // of the shorter side, so that images of any size feel alike
  following: Following = { next: [], done: 0, all: 0, seconds: null };
  current: { key: string; reason: string; frame: Frame; layer: Layer } | null = null;
  reviewing = false;
  readonly hints: Hints;
  problem = "";
  settle: () => void = () => undefined; // ends the stroke that is being drawn, on the image on which it was begun
  nextMs = 0; // from the key to the next image on the screen
  private before: string[] = []; // images that were left, the last one at the end
  private readonly cache: FrameCache;
  private active = 0;
  private heard = 0;
  private turning = false;
  private left = ""; // the image on the screen, where it was left and no other came
  private readonly unreadable = new Set<string>();

  constructor(
    readonly session: Session,
    readonly outbox: Outbox,
    readonly view: View,
    private readonly changed: () => void,
    private readonly say: (text: string) => void,
  ) {
    this.structures = [...session.structures, session.exclusion];
    this.cache = new FrameCache((key) => outbox.pending(key), changed);
    this.hints = new Hints(this, changed, say);
  }

  get exclusion(): number {
    return this.structures.length - 1;
  }

  get target(): number {
    return this.tool === "none" ? this.exclusion : this.structure;
  }

  get width(): number {
    const about = this.current?.frame.about;
    return about ? Math.max(1, Math.round(this.share * Math.min(about.rows, about.columns))) : 1;
  }

  get plane(): number | null {
    const about = this.current?.frame.about;
    return about && about.planes > 1 ? this.view.plane : null;
  }

  async begin(): Promise<void> {
    // Asked before anything else: what waits may reach the server meanwhile, after it has named the next images.
    const begun = this.outbox.begun;
    await this.ask();
    if (begun) this.first({ key: begun, reason: "begun, not finished" });
    const wanted = location.hash.slice(1);
    if (/^[0-9a-f]{20}$/.test(wanted)) this.first({ key: wanted, reason: "where you were" });
    await this.turn(() => this.go());
  }

  private first(suggestion: Suggestion): void {
    const others = this.following.next.filter(({ key }) => key !== suggestion.key);
    this.following.next = [suggestion, ...others];
  }

  private async ask(): Promise<void> {
    const current = this.current ? [this.current.key] : [];
    const before = [...this.unreadable, ...this.before.slice(-REMEMBERED), ...current];
    const following = await server.following(AHEAD + 2, before, this.reviewing);
    // Whoever turned meanwhile has seen some of them.
    const seen = new Set([...this.before.slice(-REMEMBERED), this.current?.key]);
    this.following = { ...following, next: following.next.filter(({ key }) => !seen.has(key)) };
    for (const { key } of this.following.next.slice(0, AHEAD)) this.cache.get(key).catch(() => undefined);
  }

  private async show(suggestion: Suggestion, since = performance.now()): Promise<void> {
    const frame = await this.cache.get(suggestion.key);
    this.settle();
    const waiting = [...frame.waiting, ...this.outbox.pending(suggestion.key)];
    const layer = new Layer(frame.about, waiting, this.exclusion);
    this.current = { ...suggestion, frame, layer };
    this.left = "";
    history.replaceState(null, "", `#${suggestion.key}`);
    this.hints.begin();
    this.problem = "";
    this.active = 0;
    this.heard = performance.now();
    this.view.show(frame, layer, frame.first);
    this.view.redraw(() => {
      this.nextMs = performance.now() - since;
      this.changed();
    });
    this.changed();
    if (frame.about.planes > 1) void frame.loadAround(frame.first);
    if (!layer.empty) this.hints.want();
  }

  /** The marks of this image have changed on the server. */
  async reload(): Promise<void> {
    const { current } = this;
    if (!current) return;
    const about = await server.about(current.key);
    if (this.current !== current) return;
    current.layer = new Layer(about, this.outbox.pending(current.key), this.exclusion);
    this.view.layer = current.layer;
    current.layer.repaint(this.view.plane);
    this.view.reink();
    this.changed();
  }

  /** Turn from marking to reviewing what others marked, and back. */
  async review(wanted: boolean): Promise<void> {
    if (this.busy()) return;
    this.settle();
    if (this.current) this.cache.forget(this.current.key); // it was fetched before it was marked
    this.reviewing = wanted;
    this.current = null;
    await this.again();
  }

  judgeOther(verdict: Verdict): void {
    this.add(this.event({ kind: "verdict" as const, ...verdict }));
  }

  /** Keys of the images that come next and are drawn already. */
  get ready(): string[] {
    return this.following.next.map(({ key }) => key).filter((key) => this.cache.ready(key));
  }

  /** The reader did something: time goes on counting. */
  hear(): void {
    const now = performance.now();
    this.active += Math.min(now - this.heard, LONGEST_PAUSE_MS);
    this.heard = now;
  }

  add(event: Event): void {
    this.left = "";
    void this.outbox.add(event);
  }

  event<T extends object>(rest: T): T & { id: string; case: string } {
    return { ...rest, id: crypto.randomUUID(), case: this.current!.key };
  }

  mark(kind: "stroke" | "erase" | "diameter", points: Point[]): Mark {
    const mark = {
      kind,
      structure: kind === "erase" ? 0 : this.target,
      points,
      width: kind === "diameter" ? 1 : this.width,
      plane: this.plane,
      filled: this.session.filled && kind !== "diameter" && points.length > 2,
    };
    return { ...this.event(mark), order: 0, retracted: 0 };
  }

  /** A stroke is finished: into the browser's store, and from there to the server. */
  keep(mark: Mark): void {
    if (!this.current) return;
    const nothing = this.current.layer.nothing;
    if (nothing && mark.kind === "stroke" && mark.structure !== this.exclusion) this.takeBack(nothing);
    this.current.layer.add(mark);
    const { id, kind, structure, points, width, plane, filled } = mark;
    this.add({ id, case: this.current.key, kind, structure, points, width, plane, filled } as Event);
    this.hints.want();
    this.changed();
  }

  undo(): void {
    const mark = this.current?.layer.last;
    if (!mark) return this.say("nothing to undo");
    this.takeBack(mark);
    this.say("undone");
  }

  private takeBack(mark: Mark): void {
    this.current!.layer.retract(mark);
    this.refresh();
    this.add(this.event({ kind: "retract" as const, target: mark.id }));
  }

  redo(): void {
    const mark = this.current?.layer.undone;
    if (!mark) return this.say("nothing to redo");
    this.current!.layer.restore(mark);
    this.refresh();
    this.add(this.event({ kind: "restore" as const, target: mark.id }));
    this.say("brought back");
  }

  private refresh(): void {
    this.current!.layer.repaint(this.view.plane);
    this.view.reink();
    this.hints.want();
    this.changed();
  }

  nothingHere(): void {
    if (!this.current || this.busy()) return;
    if (!this.current.layer.nothing) {
      const event = this.event({ kind: "nothing" as const });
      this.current.layer.add({ id: event.id, kind: "nothing", structure: 0, order: 0, retracted: 0 });
      this.add(event);
    }
    void this.next("done");
  }

  /** Leave the image; without an outcome it is done if something was marked, else skipped. */
  async next(outcome?: Visited["outcome"], reason = ""): Promise<void> {
    await this.turn(async () => {
      const since = performance.now();
      this.settle();
      this.leave(outcome, reason);
      await this.go(since);
    });
    await this.refill();
  }

  /** Ask for more while there is some left: nobody who turns meanwhile waits for the answer. */
  private async refill(): Promise<void> {
    if (this.following.next.length >= AHEAD) return;
    try {
      await this.ask();
    } catch (error) {
      this.problem = error instanceof Error ? error.message : String(error);
    }
    this.changed();
  }

  /** Whether the image on the screen was left already: what is asked for then would befall the wrong one. */
  private busy(): boolean {
    if (this.turning) this.say("the next image is still being loaded");
    return this.turning;
  }

  /** One turn at a time; what goes wrong is said on the page. */
  private async turn(act: () => Promise<void>): Promise<void> {
    if (this.busy()) return;
    this.turning = true;
    try {
      await act();
    } catch (error) {
      this.problem = error instanceof Error ? error.message : String(error);
      this.changed();
    } finally {
      this.turning = false;
    }
  }

  /** Show what comes next; an image that cannot be read is passed over, and said to be. */
  private async go(since?: number): Promise<void> {
    let why = "";
    for (;;) {
      if (!this.following.next.length) await this.ask();
      const following = this.following.next.shift();
      if (!following) this.current = null;
      else {
        try {
          await this.show(following, since);
        } catch (error) {
          if (!(error instanceof server.Refused) || error.status !== 404) throw error;
          this.unreadable.add(following.key);
          why = error.message;
          continue;
        }
      }
      if (why) this.problem = `an image was passed over: ${why}`;
      return this.changed();
    }
  }

  private leave(outcome?: Visited["outcome"], reason = ""): void {
    if (!this.current || (!outcome && this.left === this.current.key)) return;
    if (this.reviewing && this.current.layer.empty) {
      this.left = this.current.key;
      this.before = [...this.before, this.current.key];
      return this.cache.forget(this.current.key);
    }
    this.hear();
    const { key, layer, frame } = this.current;
    const decided = outcome ?? (layer.empty ? "skip" : "done");
    if (!outcome && decided === "skip") this.say("left unmarked; it comes again at the end");
    const { judgement, modelSeen, warnings } = this.hints;
    const model = frame.about.model !== "there" ? frame.about.model : modelSeen ? "shown" : "hidden";
    const seconds = Math.round(this.active) / 1000;
    this.add(
      this.event({ kind: "visit" as const, outcome: decided, seconds, reason, model, judgement, warned: warnings.length > 0 }),
    );
    if (decided !== "skip" && this.before.at(-1) !== key) this.following.done += 1;
    this.before = [...this.before.filter((old) => old !== key), key];
    this.left = key;
    this.cache.forget(key);
  }

  async previous(): Promise<void> {
    await this.turn(async () => {
      const key = this.before.at(-1);
      if (!key) return this.say("this is the first image");
      this.settle();
      const { current } = this;
      await this.show({ key, reason: "looked at before" });
      this.before.pop();
      if (current) {
        this.following.next.unshift({ key: current.key, reason: current.reason });
        this.cache.forget(current.key); // it was fetched before it was marked
      }
    });
  }

  /** Go through the skipped images again. */
  async again(): Promise<void> {
    await this.turn(async () => {
      this.before = [];
      await this.ask();
      await this.go();
    });
  }

  setPlane(plane: number): void {
    const frame = this.current?.frame;
    if (!frame) return;
    const wanted = Math.min(frame.about.planes - 1, Math.max(0, plane));
    void frame.load(wanted).then(() => {
      if (this.current?.frame !== frame) return;
      this.settle();
      this.view.setPlane(wanted);
      this.hints.want();
      this.changed();
    });
  }

  setWindow(window: Window): void {
    this.view.window = window;
    this.view.redraw();
  }

  setShare(share: number): void {
    const side = this.current ? Math.min(this.current.frame.about.rows, this.current.frame.about.columns) : 256;
    this.share = Math.min(0.5, Math.max(1 / side, share));
    localStorage.setItem("brush", String(this.share));
    this.changed();
  }
}
