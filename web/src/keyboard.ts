// All that can be done with keys; the dialogs have keys of their own.

import type { Hand } from "./hand";
import type { Tool, Work } from "./work";

const ZOOM = 1.25;
// A key that is held down leaves one image, not all of them.
const ONCE = new Set(["n", "s", "t", "backspace"]);

export interface Acts {
  choose: (tool: Tool) => void;
  pick: (structure: number) => void;
  resize: (factor: number) => void;
  invert: () => void;
  cantTell: () => void;
  help: () => void;
}

export class Keyboard {
  constructor(
    private readonly work: Work,
    private readonly hand: Hand,
    private readonly acts: Acts,
  ) {
    addEventListener("keydown", (event) => this.keyDown(event));
    addEventListener("keyup", (event) => this.keyUp(event));
  }

  private keyDown(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    if (document.querySelector("dialog[open]") || target.matches("input:not([type=range]), select")) return;
    const { work } = this;
    work.hear();
    const typed = event.key.toLowerCase();
    if (event.key === " ") {
      if (target instanceof HTMLButtonElement) return; // the key of the button that has the focus
      event.preventDefault();
      if (event.repeat) return;
      this.hand.spaceKey(true);
      return;
    }
    // On many keyboards [ and ] are typed with AltGr, which Windows reports as Ctrl and Alt.
    const typing = event.getModifierState("AltGraph");
    if ((event.ctrlKey || event.metaKey) && !typing) {
      if (typed === "z") event.shiftKey ? work.redo() : work.undo();
      else if (typed === "y") work.redo();
      else return;
      event.preventDefault();
      return;
    }
    if (event.altKey && !typing) return;
    if (event.repeat && ONCE.has(typed)) return event.preventDefault();
    if (event.key.startsWith("Arrow") && !target.matches("input")) {
      const step = event.shiftKey ? 10 : 1;
      const [dr, dc] = { ArrowUp: [-step, 0], ArrowDown: [step, 0], ArrowLeft: [0, -step], ArrowRight: [0, step] }[event.key]!;
      event.preventDefault();
      return this.hand.arrow(dr, dc);
    }
    const acts: Record<string, () => void> = {
      enter: () => this.hand.pen(),
      escape: () => this.hand.escape(),
      backspace: () => void work.previous(),
      pageup: () => work.setPlane(this.work.view.plane - 1),
      pagedown: () => work.setPlane(this.work.view.plane + 1),
      "[": () => this.acts.resize(1 / 1.25),
      "]": () => this.acts.resize(1.25),
      z: () => (event.shiftKey ? work.redo() : work.undo()),
      y: () => work.redo(),
      b: () => this.acts.choose("brush"),
      e: () => this.acts.choose("erase"),
      x: () => this.acts.choose("none"),
      d: () => this.acts.choose("ruler"),
      w: () => this.acts.choose("window"),
      f: () => this.work.view.fit(),
      "+": () => this.hand.zoom(ZOOM),
      "=": () => this.hand.zoom(ZOOM),
      "-": () => this.hand.zoom(1 / ZOOM),
      i: () => this.acts.invert(),
      g: () => work.hints.toggleGrown(),
      m: () => work.hints.toggleModel(),
      r: () => work.hints.judge("right"),
      c: () => work.hints.judge("fix"),
      n: () => work.nothingHere(),
      t: () => this.acts.cantTell(),
      s: () => void work.next("skip"),
      h: () => this.hide(true),
      "?": () => this.acts.help(),
    };
    if (/^[1-9]$/.test(typed)) this.acts.pick(Number(typed) - 1);
    else if (acts[typed] && !(typed === "enter" && target instanceof HTMLButtonElement)) acts[typed]();
    else return;
    event.preventDefault();
  }

  private keyUp(event: KeyboardEvent): void {
    if (event.key.toLowerCase() === "h") this.hide(false);
    if (event.key === " " && !(event.target instanceof HTMLButtonElement) && this.hand.spaceKey(false) === "next") {
      void this.work.next();
    }
  }

  private hide(hidden: boolean): void {
    this.work.view.hidden = hidden;
    this.work.view.redraw();
  }
}
