// Presses Streamlit's own choice of themes, which lies in a hidden menu, and keeps the choice for all pages.
const MENU = "[data-testid=stMainMenuButton]";
const kept = (path) => `stActiveTheme-${path}-v2`; // Streamlit keeps what was chosen by the path that was loaded first
const WAIT = 100; // frames for what must appear

let checked = false; // once a page is loaded

async function found(selector) {
  for (let i = 0; i < WAIT; i++) {
    const element = document.querySelector(selector);
    if (element) return element;
    await new Promise(requestAnimationFrame);
  }
  throw new Error(`The theme cannot be changed: ${selector} is not there.`);
}

// As the page is now, whoever chose it: the reader, or the system.
function shown() {
  const [r, g, b] = getComputedStyle(document.querySelector("[data-testid=stApp]")).backgroundColor.match(/[\d.]+/g).map(Number);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b < 128 ? "dark" : "light";
}

async function choose(name, paths) {
  const menu = await found(MENU);
  if (menu.getAttribute("aria-expanded") !== "true") menu.click();
  (await found(`[data-testid="stMainMenuItem-theme-${name}"]`)).click();
  menu.click();
  for (const path of paths) localStorage.setItem(kept(path), JSON.stringify(name));
}

export default function ({ data, parentElement }) {
  const button = parentElement.querySelector("button");
  const icon = document.createElement("i"), words = document.createElement("span");
  icon.setAttribute("aria-hidden", "true");
  button.replaceChildren(icon, words);
  const say = () => {
    const now = shown();
    button.dataset.theme = now;
    document.documentElement.dataset.lightbox = now; // for the page's own sheet
    words.textContent = now === "dark" ? "Light" : "Dark";
    button.title = `Change to the ${words.textContent.toLowerCase()} theme`;
    button.setAttribute("aria-label", `${words.textContent} theme`);
  };
  say();
  // An address that is no page was loaded without the choice, which is kept for pages; by now Streamlit has led on to Home.
  const wished = JSON.parse(localStorage.getItem(kept("/")) || "null");
  if (!checked && ["Dark", "Light"].includes(wished) && wished.toLowerCase() !== shown()) choose(wished, data.paths);
  checked = true;
  button.onclick = async () => {
    await choose(words.textContent, data.paths);
    button.focus(); // the menu took it
  };
  // the page itself tells when it looks different, whether by this switch or by the system's clock
  const app = document.querySelector("[data-testid=stApp]");
  const watch = new MutationObserver(say);
  watch.observe(app, { attributes: true, attributeFilter: ["class", "style"] });
  return () => watch.disconnect();
}
