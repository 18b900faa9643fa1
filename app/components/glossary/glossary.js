// The card with the meaning of a term; one for the page, whatever is drawn again. WCAG 1.4.13: it stays while the pointer is on it, and Escape puts it away.
const TERM = 'a[href^="#term-"]';
const GAP = 6, STAY = 150; // pixels; milliseconds from leaving the term until the card goes, so that the pointer can reach it

function card() {
  const made = document.createElement("div");
  made.className = "lb-meaning";
  made.id = "lb-meaning";
  made.setAttribute("role", "tooltip");
  made.hidden = true;
  document.body.append(made);
  return made;
}

export default function ({ data }) {
  const tip = document.getElementById("lb-meaning") || card();
  let going, of;
  const hide = () => {
    clearTimeout(going);
    tip.hidden = true;
    of?.removeAttribute("aria-describedby");
    of = undefined;
  };
  const show = (term) => {
    clearTimeout(going);
    const meaning = data.meanings[term.getAttribute("href").slice("#term-".length)];
    if (!meaning) return;
    if (of !== term) hide();
    of = term;
    const page = getComputedStyle(document.querySelector("[data-testid=stApp]"));
    Object.assign(tip.style, { background: page.backgroundColor, color: page.color, fontFamily: page.fontFamily });
    tip.textContent = meaning;
    tip.hidden = false;
    term.setAttribute("aria-describedby", tip.id);
    const at = term.getBoundingClientRect(), below = at.bottom + GAP + tip.offsetHeight < innerHeight;
    tip.style.left = `${Math.max(GAP, Math.min(at.left, innerWidth - tip.offsetWidth - GAP))}px`;
    tip.style.top = `${below ? at.bottom + GAP : at.top - GAP - tip.offsetHeight}px`;
  };
  const term = (e) => e.target.closest?.(TERM);
  const heard = {
    mouseover: (e) => (term(e) ? show(term(e)) : tip.contains(e.target) && clearTimeout(going)),
    mouseout: (e) => { if (term(e) || tip.contains(e.target)) going = setTimeout(hide, STAY); },
    focusin: (e) => (term(e) ? show(term(e)) : hide()),
    focusout: (e) => term(e) && hide(),
    click: (e) => { if (term(e)) { e.preventDefault(); e.stopPropagation(); show(term(e)); } }, // it leads nowhere
    keydown: (e) => { if (e.key === "Escape" && !tip.hidden) { e.stopPropagation(); hide(); } },
    scroll: hide,
  };
  for (const [kind, hear] of Object.entries(heard)) document.addEventListener(kind, hear, true);
  return () => {
    hide();
    for (const [kind, hear] of Object.entries(heard)) document.removeEventListener(kind, hear, true);
  };
}
