/**
 * The script of a timeline: details under the pointer, and the keyboard. Without it, titles tell the same.
 * Its hash is in the page's content security policy: a test says the right one.
 */
export const scriptHash = "sha256-xLgmYI5CSkpBpRVGt1+/SW6XptKVmXN6C8E4oqag8Nc="

export const script = `
"use strict";
(() => {
  const tip = document.getElementById("tip");
  let pinned = false;
  let shown;
  const told = (el) => {
    if (el.title) {
      el.setAttribute("aria-label", el.title);
      el.removeAttribute("title");
    }
    return el.getAttribute("aria-label") || "";
  };
  const hide = () => {
    pinned = false;
    tip.hidden = true;
    tip.classList.remove("pinned");
  };
  const show = (el) => {
    const [first, ...rest] = told(el).split("\\n");
    const head = document.createElement("b");
    head.textContent = first;
    tip.replaceChildren(head, rest.join("\\n"));
    tip.classList.toggle("pinned", pinned);
    tip.hidden = false;
    shown = el;
    const at = el.getBoundingClientRect();
    const own = tip.getBoundingClientRect();
    const below = at.bottom + 8;
    tip.style.left = Math.max(8, Math.min(at.left, innerWidth - own.width - 16)) + "px";
    tip.style.top = Math.max(8, below + own.height < innerHeight ? below : at.top - own.height - 8) + "px";
  };
  const target = (event, what) => event.target instanceof Element ? event.target.closest(what) : null;
  document.addEventListener("pointerover", (event) => {
    if (pinned) return;
    const el = target(event, ".lanes .s,.lanes .c,.lanes .k");
    if (el) show(el);
    else hide();
  });
  document.addEventListener("click", (event) => {
    const el = target(event, ".lanes .s,.lanes .c,.lanes .k");
    if (!el) return tip.contains(event.target) ? undefined : hide();
    pinned = true;
    show(el);
    if (el.matches(".s")) el.focus();
  });
  document.addEventListener("focusin", (event) => {
    const el = target(event, ".lanes .s");
    if (!el) return;
    told(el);
    for (const other of el.closest(".run").querySelectorAll(".s[tabindex='0']")) other.tabIndex = -1;
    el.tabIndex = 0;
    if (pinned) show(el);
  });
  addEventListener("scroll", () => {
    if (tip.hidden) return;
    if (pinned || shown.matches(":hover")) show(shown);
    else hide();
  }, { passive: true });
  const number = (el, name) => Number(el.style.getPropertyValue(name)) || 0;
  const middle = (el) => number(el, "--a") + number(el, "--w") / 2;
  const away = (el, x) => {
    const from = number(el, "--a");
    return Math.max(0, from - x, x - from - number(el, "--w"));
  };
  const segments = (lane) => [...lane.querySelectorAll(".s")];
  const beside = (el, step) => {
    const lanes = [...document.querySelectorAll(".lane")];
    const x = middle(el);
    for (let i = lanes.indexOf(el.closest(".lane")) + step; i >= 0 && i < lanes.length; i += step) {
      const all = lanes[i].checkVisibility() ? segments(lanes[i]) : [];
      if (all.length > 0) return all.reduce((best, one) => away(one, x) < away(best, x) ? one : best);
    }
    return el;
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return hide();
    const el = target(event, ".lanes .s");
    if (!el || event.ctrlKey || event.metaKey || event.altKey) return;
    const own = segments(el.closest(".lane"));
    const i = own.indexOf(el);
    const moves = {
      ArrowLeft: () => own[i - 1],
      ArrowRight: () => own[i + 1],
      ArrowUp: () => beside(el, -1),
      ArrowDown: () => beside(el, 1),
      Home: () => own[0],
      End: () => own[own.length - 1]
    };
    if (event.key === "Enter" || event.key === " ") {
      pinned = !pinned;
      if (pinned) show(el);
      else hide();
    } else if (Object.hasOwn(moves, event.key)) (moves[event.key]() || el).focus();
    else return;
    event.preventDefault();
  });
})();
`
