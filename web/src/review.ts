// What a reviewer sees: the marks of everyone else on the image, each in a colour and with a name, to be judged.

import { button, el } from "./dom";
import { Layer } from "./layer";
import * as server from "./server";
import type { About, OtherLayer, Session, Verdict } from "./types";
import type { View } from "./view";

export class Review {
  readonly panel = el("aside", { id: "review", "aria-label": "other people's marks" });
  private readonly hidden = new Set<string>();
  private readonly reasons = new Map<string, string>(); // why marks go back, as far as it is written
  private key = "";
  private plane = 0;
  problem = "";
  private layers: { other: OtherLayer; layer: Layer; colour: string }[] = [];

  constructor(
    private readonly view: View,
    private readonly session: Session,
    private readonly judge: (verdict: Verdict) => void,
    private readonly changed: () => void,
    private readonly turnTo: (plane: number) => void,
  ) {
    this.panel.hidden = true;
  }

  /** Fetch the layers of an image; null: none are to be shown. */
  async show(about: About | null): Promise<void> {
    const key = about?.key ?? "";
    if (key === this.key) {
      if (this.plane !== this.view.plane) this.ink();
      return;
    }
    this.key = key;
    this.problem = "";
    this.reasons.clear();
    this.layers = [];
    this.draw();
    if (!about) return;
    const found = await server.others(key).catch((error: unknown) => {
      this.problem = `the marks of others are not to be had: ${error instanceof Error ? error.message : String(error)}`;
      return [];
    });
    if (this.key !== key) return;
    this.layers = found.map((other, i) => ({
      other,
      layer: new Layer({ ...about, marks: other.marks }, [], this.session.structures.length),
      colour: this.session.layers[i % this.session.layers.length],
    }));
    this.draw();
    const first = Math.min(...this.markedPlanes);
    if (Number.isFinite(first) && !about.marks.length) this.turnTo(first);
    this.changed();
  }

  /** Planes that others marked. */
  get markedPlanes(): Set<number> {
    return new Set(this.layers.flatMap(({ layer }) => [...layer.markedPlanes]));
  }

  private draw(): void {
    this.ink();
    this.panel.hidden = this.key === ""; // there from the beginning, so that the image does not jump
    this.panel.replaceChildren(el("h2", {}, "Marks of others"), ...this.layers.map(({ other, colour }) => this.card(other, colour)));
  }

  /** The plane that is shown has changed, or who is to be seen. */
  private ink(): void {
    const { view } = this;
    this.plane = view.plane;
    view.others = this.layers
      .filter(({ other }) => !this.hidden.has(other.author))
      .map(({ other, layer, colour }) => {
        layer.repaint(view.plane);
        return { name: other.author, colour, ink: outlined(layer, colour), at: layer.topmost };
      });
    view.redraw();
  }

  private card(other: OtherLayer, colour: string): HTMLElement {
    const box = el("input", { type: "checkbox", "aria-label": `show ${other.author}` });
    box.checked = !this.hidden.has(other.author);
    box.addEventListener("change", () => {
      if (box.checked) this.hidden.delete(other.author);
      else this.hidden.add(other.author);
      this.ink();
    });
    box.addEventListener("click", (event) => event.detail > 0 && box.blur());
    const dot = el("i", { class: "dot" });
    dot.style.background = colour;
    const said = { done: "done", unsure: `can't tell: ${other.reason}`, skip: "skipped", none: "not finished" }[other.outcome ?? "none"];
    const seconds = other.outcome === "done" && other.seconds !== null ? `, ${other.seconds} s` : "";
    const reason = el("input", { placeholder: "why", "aria-label": `why ${other.author}'s marks go back`, maxlength: "200" });
    reason.value = this.reasons.get(other.author) ?? "";
    reason.addEventListener("input", () => this.reasons.set(other.author, reason.value));
    const decide = (outcome: Verdict["outcome"]) => {
      const verdict = { of: other.author, outcome, reason: outcome === "returned" ? reason.value.trim() : "" };
      other.verdict = { ...verdict, by: "you" };
      this.judge(verdict);
      this.draw();
    };
    const accept = button(`Accept the marks of ${other.author}`, { text: "Accept" }, () => decide("accepted"));
    const back = button(`Send the marks of ${other.author} back`, { text: "Send back" }, () => decide("returned"));
    accept.setAttribute("aria-pressed", String(other.verdict?.outcome === "accepted"));
    back.setAttribute("aria-pressed", String(other.verdict?.outcome === "returned"));
    const open = other.outcome === "done" || other.outcome === "unsure";
    const { verdict } = other;
    return el(
      "section",
      {},
      el("label", {}, box, dot, el("strong", {}, other.author)),
      el("p", {}, said + seconds),
      verdict ? el("p", {}, `${verdict.outcome === "accepted" ? "accepted" : "sent back"} by ${verdict.by}${verdict.reason ? `: ${verdict.reason}` : ""}`) : null,
      open ? el("div", {}, accept, back) : null,
      open ? reason : null,
    );
  }
}

/** The ink of a layer in one colour: its rim strong, its inside thin, "none of these" hatched. */
function outlined(layer: Layer, colour: string): HTMLCanvasElement {
  const { rows, columns } = layer.about;
  const canvas = el("canvas", { width: String(columns), height: String(rows) });
  const context = canvas.getContext("2d")!;
  const image = context.createImageData(columns, rows);
  const out = new Uint32Array(image.data.buffer);
  const [red, green, blue] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  const shade = (alpha: number) => ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  const [rim, inside] = [shade(255), shade(90)];
  const { bits } = layer;
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const i = r * columns + c;
      if (!bits[i]) continue;
      const edge =
        r === 0 || c === 0 || r === rows - 1 || c === columns - 1 ||
        bits[i - 1] !== bits[i] || bits[i + 1] !== bits[i] || bits[i - columns] !== bits[i] || bits[i + columns] !== bits[i];
      const hatched = bits[i] >> layer.exclusion && (r + c) % 4 < 2;
      out[i] = edge || hatched ? rim : inside;
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}
