// What is shown after a stroke: what the marks grow to, and what the model says; never before.

import * as server from "./server";
import type { Event, Judgement } from "./types";
import type { Work } from "./work";

export class Hints {
  judgement: Judgement = "";
  modelSeen = false;
  showGrown = true;
  showModel = true;
  notes: string[] = [];
  warnings: string[] = [];
  private wanted = false;
  private adopting = false;

  constructor(
    private readonly work: Work,
    private readonly changed: () => void,
    private readonly say: (text: string) => void,
  ) {}

  /** Another image: nothing was said of it yet. */
  begin(): void {
    this.adopting = false; // the image is fetched with what was taken over
    this.judgement = "";
    this.modelSeen = false;
    this.notes = [];
    this.warnings = [];
  }

  want(): void {
    this.wanted = true;
    this.saved();
  }

  /** What is on the server's disk may be grown, and compared with what the model says. */
  saved(): void {
    if (!this.wanted || !this.work.current || this.work.outbox.count) return;
    this.wanted = false;
    void this.look();
  }

  private async look(): Promise<void> {
    const { work } = this;
    if (this.adopting) {
      try {
        await work.reload();
        this.adopting = false;
      } catch {
        // Tried again with the next stroke.
        this.notes = ["the outline is yours; it is shown when the server answers again"];
        return this.changed();
      }
    }
    const { key, layer, frame } = work.current!;
    const plane = work.view.plane;
    const still = () => work.current?.key === key && work.view.plane === plane;
    try {
      const marked = layer.counting.some((mark) => mark.kind === "stroke" || mark.kind === "raster");
      if (marked && frame.about.sized.length) {
        const grown = await server.grown(key, plane);
        if (!still()) return;
        work.view.grown = this.showGrown ? grown.outlines : [];
        this.notes = grown.notes;
        this.warnings = grown.warnings;
      } else {
        work.view.grown = [];
        this.notes = this.warnings = [];
      }
      if (frame.about.model === "there" && this.showModel && !layer.empty) {
        const model = await server.outlines(key, plane);
        if (!still()) return;
        work.view.model = model.outlines;
        this.modelSeen = true;
      }
    } catch {
      this.notes = ["growth is not to be had at the moment"];
    }
    work.view.redraw();
    this.changed();
  }

  toggleGrown(): void {
    this.showGrown = !this.showGrown;
    if (!this.showGrown) this.work.view.grown = [];
    this.work.view.redraw();
    this.want();
    this.changed();
  }

  toggleModel(): void {
    if (this.work.current?.layer.empty) return this.say("the model's outline comes after your first stroke");
    this.showModel = !this.showModel;
    if (!this.showModel) this.work.view.model = [];
    this.work.view.redraw();
    this.want();
    this.changed();
  }

  /** In full masks "fix" takes the outline over, to be corrected; marks are never a model's. */
  judge(judgement: Judgement): void {
    const { work } = this;
    if (!this.modelSeen) return;
    if (judgement === "fix" && work.session.filled && this.judgement !== "fix") {
      for (const structure of new Set(work.view.model.map((outline) => outline.structure))) {
        work.add(work.event({ kind: "model" as const, structure }) as Event);
      }
      this.adopting = true;
      this.say("the outline is yours now: correct it with the brush and the eraser");
      this.want();
    }
    this.judgement = judgement;
    this.changed();
  }
}
