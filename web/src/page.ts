// The page around the image: tools, structures, numbers, the light, and the keys.

import { Accounts } from "./accounts";
import { cantTellDialog, helpDialog, showRefused, showTeam } from "./dialogs";
import { button, el, icon } from "./dom";
import { Hand } from "./hand";
import { Keyboard } from "./keyboard";
import type { Outbox } from "./outbox";
import { Review } from "./review";
import * as server from "./server";
import type { Session } from "./types";
import { switchTheme } from "./theme";
import { View } from "./view";
import { Windows } from "./windows";
import { type Tool, Work } from "./work";

const LIGHTS = {
  saved: ["●", "saved"],
  saving: ["◐", "saving"],
  unsaved: ["○", "not saved yet"],
} as const;

export class Page {
  private work!: Work;
  private hand!: Hand;
  private readonly canvas = el("canvas", { id: "image", tabindex: "0", role: "application", "aria-label": "image to mark" });
  private readonly view: View;
  private readonly said = el("p", { class: "said", role: "status", "aria-live": "polite" });
  private readonly light = el("span", { id: "light", role: "status" });
  private readonly title = el("span", { id: "case" });
  private readonly reason = el("span", { id: "reason" });
  private readonly progress = el("span", { id: "progress" });
  private readonly numbers = el("span", { id: "numbers" });
  private readonly notes = el("p", { id: "notes", role: "status" });
  private readonly structures = el("div", { id: "structures", role: "radiogroup", "aria-label": "structure" });
  private readonly judge = el("div", { id: "judge", role: "group", "aria-label": "model's outline" });
  private readonly end = el("div", { id: "end", class: "notice" });
  private readonly size = el("input", { id: "size", type: "range", min: "0", max: "100", "aria-label": "brush size ([ and ])" });
  private readonly slice = el("input", { id: "slice", type: "range", min: "0", "aria-label": "slice" });
  private readonly sliceText = el("output", { id: "slice-text" });
  private readonly ticks = el("div", { id: "ticks", role: "img" });
  private readonly windows: Windows;
  private readonly tools = new Map<Tool, HTMLButtonElement>();
  private readonly toggles = new Map<string, HTMLButtonElement>();
  private readonly everyone = el("dialog", { id: "team", "aria-label": "team" });
  private readonly accounts: Accounts;
  private readonly refusals = el("dialog", { id: "refused", "aria-label": "what was refused" });
  private readonly review: Review;
  private readonly cantTell: HTMLDialogElement;
  private readonly help: HTMLDialogElement;
  private outbox!: Outbox;
  private shownKey = "";
  private shownMarks = "";

  constructor(private readonly session: Session) {
    this.view = new View(this.canvas, [...session.structures, session.exclusion]);
    this.cantTell = cantTellDialog((reason) => {
      void this.work.next("unsure", reason);
      this.canvas.focus();
    });
    this.help = helpDialog();
    this.windows = new Windows(this.view);
    this.accounts = new Accounts(session.user);
    this.review = new Review(
      this.view,
      session,
      (verdict) => this.work.judgeOther(verdict),
      () => this.refresh(),
      (plane) => this.work.setPlane(plane),
    );
  }

  async start(outbox: Outbox): Promise<void> {
    this.outbox = outbox;
    this.work = new Work(
      this.session,
      outbox,
      this.view,
      () => this.refresh(),
      (text) => this.say(text),
    );
    this.hand = new Hand(this.work, this.canvas, (text) => this.say(text));
    this.build();
    new Keyboard(this.work, this.hand, {
      choose: (tool) => this.choose(tool),
      pick: (structure) => this.pick(structure),
      resize: (factor) => this.resize(factor),
      invert: () => this.invert(),
      cantTell: () => this.cantTell.showModal(),
      help: () => this.help.showModal(),
    });
    addEventListener("hashchange", () => void this.reenter());
    addEventListener("beforeunload", (event) => {
      if (!outbox.kept && outbox.count) event.preventDefault();
    });
    this.refresh();
    await this.work.begin();
    this.canvas.focus();
  }

  /** The server was started anew and its new address was opened here. */
  private async reenter(): Promise<void> {
    if (!server.entering()) return;
    await server.enter().catch(() => undefined);
    await server.begin().catch(() => undefined);
    history.replaceState(null, "", `#${this.work.current?.key ?? ""}`);
    this.outbox.retry();
  }

  private build(): void {
    const tool = (name: Tool, label: string, key: string, picture: string, short = label) => {
      const element = button(label, { icon: picture, key, label: short }, () => this.choose(name));
      this.tools.set(name, element);
      return element;
    };
    const toggle = (name: string, label: string, short: string, key: string, picture: string, act: () => void) => {
      const element = button(label, { icon: picture, key, label: short }, act);
      this.toggles.set(name, element);
      return element;
    };
    const work = () => this.work;
    const rail = el(
      "nav",
      { id: "tools", "aria-label": "tools" },
      tool("brush", "Brush", "B", "brush"),
      tool("erase", "Erase", "E", "erase"),
      tool("none", "Not any of these", "X", "none", "Not this"),
      tool("ruler", "Diameter", "D", "ruler"),
      tool("window", "Window and level", "W", "window", "Window"),
      el("hr"),
      button("Undo", { icon: "undo", key: "Z", id: "undo", label: "Undo" }, () => work().undo()),
      button("Redo", { icon: "redo", key: "Shift+Z", id: "redo", label: "Redo" }, () => work().redo()),
      el("hr"),
      button("Fit to window", { icon: "fit", key: "F", label: "Fit" }, () => this.view.fit()),
      toggle("invert", "Invert", "Invert", "I", "invert", () => this.invert()),
      toggle("ink", "Hide all ink", "Hide", "H", "eye", () => this.hide()),
      toggle("grown", "Grown shape", "Grown", "G", "grow", () => work().hints.toggleGrown()),
      toggle("model", "Model's outline", "Model", "M", "model", () => work().hints.toggleModel()),
    );
    this.session.structures.forEach((structure, i) => {
      const chip = button(structure.name, { key: String(i + 1), text: structure.name, kind: "chip" }, () => this.pick(i));
      chip.setAttribute("role", "radio");
      const dot = el("i", { class: "dot" });
      dot.style.background = structure.colour;
      chip.prepend(dot);
      this.structures.append(chip);
    });
    this.judge.append(
      el("span", {}, "Model's outline:"),
      button("The outline is right", { text: "Right", key: "R" }, () => this.work.hints.judge("right")),
      button("I fix it", { text: "Fix", key: "C" }, () => this.work.hints.judge("fix")),
    );
    this.size.addEventListener("input", () => this.work.setShare((Number(this.size.value) / 100) ** 2 * 0.5));
    this.slice.addEventListener("input", () => this.work.setPlane(Number(this.slice.value)));
    for (const control of [this.size, this.slice, this.windows.presets]) control.addEventListener("change", () => this.canvas.focus());
    const header = el(
      "header",
      {},
      el("strong", {}, "tallymark"),
      button("Image before", { icon: "back", key: "Backspace" }, () => void this.work.previous()),
      this.title,
      this.reason,
      el("span", { class: "space" }),
      this.progress,
      this.light,
      ...this.teamButtons(),
      button("Light or dark", { icon: "theme" }, () => switchTheme()),
      button("Keys", { icon: "help", key: "?" }, () => this.help.showModal()),
    );
    const footer = el(
      "footer",
      {},
      this.structures,
      el("label", { class: "size" }, el("kbd", {}, "["), this.size, el("kbd", {}, "]")),
      this.numbers,
      this.windows.presets,
      this.judge,
      el(
        "div",
        { id: "actions" },
        button("Nothing here", { text: "Nothing here", key: "N" }, () => this.work.nothingHere()),
        button("Can't tell", { text: "Can't tell", key: "T" }, () => this.cantTell.showModal()),
        button("Skip", { text: "Skip", key: "S" }, () => void this.work.next("skip")),
        button("Next", { text: "Next", key: "Space", kind: "primary", id: "next" }, () => void this.work.next()),
      ),
    );
    const stage = el(
      "main",
      {},
      this.canvas,
      el("div", { id: "slices" }, this.sliceText, el("div", {}, this.ticks, this.slice)),
      this.notes,
      this.said,
      this.review.panel,
      this.end,
    );
    const dialogs = [this.cantTell, this.help, this.everyone, this.accounts.dialog, this.refusals];
    document.getElementById("app")!.replaceChildren(header, rail, stage, footer, ...dialogs);
  }

  private teamButtons(): HTMLElement[] {
    if (!this.session.team) return [];
    const leave = button("Sign out", { text: "Sign out" }, () => void server.logout().then(() => location.reload()));
    if (!["reviewer", "admin"].includes(this.session.role)) return [leave];
    const review = button("Review what others marked", { text: "Review" }, () => void this.work.review(!this.work.reviewing));
    this.toggles.set("review", review);
    const team = button("Team", { text: "Team" }, () => this.showTeam());
    if (this.session.role !== "admin") return [review, team, leave];
    return [review, team, button("Accounts", { text: "Accounts" }, () => void this.accounts.show()), leave];
  }

  private showTeam(): void {
    this.say("looking at what everybody marked");
    showTeam(this.everyone).catch((error: unknown) => this.say(error instanceof Error ? error.message : String(error)));
  }

  private say(text: string): void {
    this.said.textContent = text;
    this.said.classList.remove("fade");
    void this.said.offsetWidth;
    this.said.classList.add("fade");
  }

  private choose(tool: Tool): void {
    this.work.tool = this.work.tool === tool ? "brush" : tool;
    this.canvas.dataset.tool = this.work.tool;
    this.hand.recolour();
    this.refresh();
  }

  private pick(structure: number): void {
    if (structure >= this.session.structures.length) return;
    this.work.structure = structure;
    if (this.work.tool !== "ruler") this.work.tool = "brush";
    this.hand.recolour();
    this.refresh();
  }

  private invert(): void {
    this.windows.invert();
    this.refresh();
  }

  private hide(): void {
    this.view.hidden = !this.view.hidden;
    this.view.redraw();
    this.refresh();
  }

  private resize(factor: number): void {
    const { work } = this;
    const before = work.width;
    work.setShare(work.share * factor);
    while (work.width === before && work.share < 0.5 && work.share * factor > 1e-4 && (factor > 1 || before > 1)) {
      work.setShare(work.share * factor);
    }
    this.hand.recolour();
    this.say(`brush ${work.width} px`);
  }

  /** Bring everything that is written on the page up to date. */
  refresh(): void {
    const { work, outbox } = this;
    if (!work || !outbox) return;
    work.hints.saved();
    const [sign, word] = LIGHTS[outbox.light];
    this.light.dataset.light = outbox.light;
    this.light.dataset.storing = String(outbox.storing);
    this.light.textContent = `${sign} ${word}${outbox.light === "unsaved" ? ` (${outbox.count})` : ""}`;
    const { done, all, seconds } = work.following;
    const pace = `${done} of ${all}${seconds ? ` · ${seconds} s an image` : ""}`;
    this.progress.textContent = !all ? "" : work.reviewing ? `${all - done} left to review` : pace;
    const current = work.current;
    this.canvas.hidden = !current;
    this.toggles.get("review")?.setAttribute("aria-pressed", String(work.reviewing));
    this.end.hidden = !!current || !all;
    if (!current) {
      this.shownKey = "";
      void this.review.show(null);
      if (all) this.finish(done, all);
      return;
    }
    const about = current.frame.about;
    document.body.dataset.nextMs = work.nextMs.toFixed(0);
    document.body.dataset.key = about.key;
    document.body.dataset.ready = work.ready.join(" ");
    void this.review.show(work.reviewing ? about : null);
    if (this.shownMarks !== current.layer.version) {
      this.shownMarks = current.layer.version;
      this.canvas.dataset.inked = String(current.layer.inked);
    }
    this.title.textContent = about.id;
    this.reason.textContent = current.reason;
    this.numbers.textContent = about.numbers.length ? `recorded: ${about.numbers.join(" · ")}` : "";
    this.structures.querySelectorAll("button").forEach((chip, i) => {
      chip.setAttribute("aria-checked", String(i === work.structure && work.tool !== "none"));
    });
    for (const [tool, element] of this.tools) element.setAttribute("aria-pressed", String(tool === work.tool));
    this.toggles.get("invert")!.setAttribute("aria-pressed", String(this.view.window.inverted));
    this.toggles.get("ink")!.setAttribute("aria-pressed", String(this.view.hidden));
    this.toggles.get("grown")!.setAttribute("aria-pressed", String(work.hints.showGrown));
    this.toggles.get("grown")!.hidden = !about.sized.length;
    this.toggles.get("model")!.setAttribute("aria-pressed", String(work.hints.showModel));
    this.toggles.get("model")!.hidden = about.model === "none";
    (document.getElementById("undo") as HTMLButtonElement).disabled = !current.layer.last;
    (document.getElementById("redo") as HTMLButtonElement).disabled = !current.layer.undone;
    // Its place is kept, so that the image stays where it is when the outline comes.
    this.judge.hidden = about.model === "none";
    this.judge.style.visibility = work.hints.modelSeen ? "" : "hidden";
    this.judge.querySelectorAll("button").forEach((element, i) => {
      element.setAttribute("aria-pressed", String(work.hints.judgement === ["right", "fix"][i]));
    });
    this.size.value = String(Math.round(Math.sqrt(work.share / 0.5) * 100));
    const warnings = [...work.hints.warnings];
    if (!outbox.kept) warnings.push("this browser keeps nothing: close it only when the light says saved");
    const trouble = outbox.light === "unsaved" ? outbox.trouble : "";
    if (trouble) warnings.push(outbox.kept ? `${trouble}; what you draw is kept in this browser` : trouble);
    warnings.push(...[work.problem, this.review.problem].filter((problem) => problem && problem !== trouble));
    const refused = outbox.refused.length;
    const why = refused ? `${refused} could not be stored: ${outbox.refused.at(-1)!.reason}` : "";
    const open = () => showRefused(this.refusals, this.session, outbox.refused, () => void outbox.putAway());
    const offer = refused ? [button(why, { text: `${why}. What to do`, icon: "none", kind: "warning" }, open)] : [];
    const nothing = current.layer.nothing ? ["marked: nothing here"] : [];
    this.notes.replaceChildren(
      ...offer,
      ...warnings.map((text) => el("span", { class: "warning" }, icon("none"), text)),
      ...[...nothing, ...work.hints.notes].map((text) => el("span", {}, text)),
    );
    const volume = about.planes > 1;
    document.getElementById("slices")!.hidden = !volume;
    if (volume) {
      this.slice.max = String(about.planes - 1);
      this.slice.value = String(this.view.plane);
      this.sliceText.textContent = `${this.view.plane + 1} / ${about.planes}`;
      this.tick(about.planes, new Set([...current.layer.markedPlanes, ...this.review.markedPlanes]));
    }
    if (this.shownKey !== about.key) this.newImage();
    this.canvas.dataset.tool = work.tool;
  }

  /** Show beside the bar which slices are marked. */
  private tick(planes: number, marked: Set<number>): void {
    const sorted = [...marked].sort((a, b) => a - b);
    const label = sorted.length ? `marked slices: ${sorted.map((plane) => plane + 1).join(", ")}` : "no slice is marked";
    if (this.ticks.ariaLabel === label) return;
    this.ticks.ariaLabel = label;
    this.ticks.replaceChildren(
      ...sorted.map((plane) => {
        const tick = el("i");
        tick.style.top = `${(100 * plane) / Math.max(1, planes - 1)}%`;
        return tick;
      }),
    );
  }

  private newImage(): void {
    const about = this.work.current!.frame.about;
    this.shownKey = about.key;
    this.windows.offer(about);
    this.canvas.setAttribute("aria-label", `image ${about.id}, ${about.rows} by ${about.columns} pixels`);
  }

  private finish(done: number, all: number): void {
    const left = all - done;
    this.end.replaceChildren(
      el("h1", {}, left ? "No more images for now" : this.work.reviewing ? "All is reviewed" : "All images are through"),
      el("p", {}, left ? `${left} were skipped or are left.` : `${done} ${done === 1 ? "image" : "images"}. Thank you.`),
    );
    if (left) this.end.append(button("Go through them", { text: "Go through them", kind: "primary" }, () => void this.work.again()));
    for (const element of [this.title, this.reason, this.numbers]) element.textContent = "";
    this.notes.replaceChildren();
  }
}
