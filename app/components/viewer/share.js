// Tells every viewer on the page the window and side chosen for all pictures: a few bytes, so that the pictures need not be sent again.
export default function ({ data }) {
  globalThis.lightboxLook = data;
  document.dispatchEvent(new CustomEvent("lightbox-look", { detail: data }));
}
