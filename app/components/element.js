// Part of the script of every component that builds its page from here; no module, since scripts are joined.

function element(kind, name, more = {}) {
  const made = document.createElement(kind);
  made.className = name;
  for (const [key, value] of Object.entries(more)) key === "text" ? (made.textContent = value) : made.setAttribute(key, value);
  return made;
}
