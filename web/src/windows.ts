// Which values are black and white: presets beside the drag of the hand.

import { el } from "./dom";
import type { About } from "./types";
import type { View } from "./view";

// Window centre and width in Hounsfield units, as radiology departments set them.
const CT: Record<string, [number, number]> = {
  "Soft tissue": [40, 400],
  Lung: [-600, 1500],
  Bone: [400, 1800],
  Brain: [40, 80],
  Liver: [60, 160],
};

export class Windows {
  readonly presets = el("select", { id: "presets", "aria-label": "window" });
  private about: About | null = null;
  private preset = "Auto"; // it stays from one image to the next, and so does what is inverted
  private inverted = false;

  constructor(private readonly view: View) {
    this.presets.addEventListener("change", () => this.choose((this.preset = this.presets.value)));
  }

  /** The presets that make sense on an image. */
  offer(about: About): void {
    this.about = about;
    const computed = about.type === "i2" && about.range[0] < -500;
    const names = ["Auto", "Full range", ...(computed ? Object.keys(CT) : [])];
    this.presets.replaceChildren(...names.map((name) => el("option", {}, name)));
    this.presets.hidden = about.type === "u1";
    if (names.includes(this.preset)) this.presets.value = this.preset;
    if (this.presets.value !== "Auto" || this.inverted) this.choose(this.presets.value);
  }

  invert(): void {
    this.inverted = !this.inverted;
    this.view.window = { ...this.view.window, inverted: this.inverted };
    this.view.redraw();
  }

  private choose(name: string): void {
    if (!this.about) return;
    const ct = CT[name];
    const [low, high] = ct ? [ct[0] - ct[1] / 2, ct[0] + ct[1] / 2] : name === "Full range" ? this.about.range : this.about.window;
    this.view.window = { low, high, inverted: this.inverted };
    this.view.redraw();
  }
}
