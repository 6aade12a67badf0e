// How long a page is looked at: while it is seen and somebody does something with it now and then.

const IDLE_MS = 120000; // without key, click or movement for so long, nobody is there

export class Clock {
  constructor() {
    this.passed = 0;
    this.since = null;
    this.acted = performance.now();
    document.addEventListener("visibilitychange", () => (document.visibilityState === "visible" ? this.act() : this.pause()));
    for (const name of ["pointermove", "pointerdown", "wheel", "keydown"]) addEventListener(name, () => this.act(), { passive: true, capture: true });
  }

  /** Begin at zero. */
  start() {
    this.passed = 0;
    this.acted = performance.now();
    this.since = document.visibilityState === "visible" ? this.acted : null;
  }

  /** Stop for good, until it is started again. */
  stop() {
    this.pause();
    this.acted = null;
  }

  /** Somebody is there: go on, without the time in which nobody was. */
  act() {
    if (this.acted === null) return;
    this.pause();
    this.acted = performance.now();
    this.since = this.acted;
  }

  pause() {
    if (this.since !== null) this.passed += this.running();
    this.since = null;
  }

  running() {
    return Math.max(Math.min(performance.now(), this.acted + IDLE_MS) - this.since, 0);
  }

  /** Seconds so far. */
  seconds() {
    return (this.passed + (this.since === null ? 0 : this.running())) / 1000;
  }
}
