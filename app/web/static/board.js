/* Keeps the board of /admin up to date: every five seconds, while the page can be seen. */

const board = document.getElementById("board");
const EVERY_MS = 5000;
const html = window.trustedTypes
  ? window.trustedTypes.createPolicy("gatehouse", { createHTML: (text) => text })
  : { createHTML: (text) => text };

async function refresh() {
  // Not under somebody's hands: what they read or have focused stays.
  if (document.hidden || board.contains(document.activeElement)) return;
  try {
    const response = await fetch(board.dataset.url, { credentials: "same-origin" });
    if (response.status === 401) location.reload();
    if (response.ok) board.innerHTML = html.createHTML(await response.text()); // the server escapes all of it
  } catch {
    // the server is away: the time on the board says how old it is
  }
}

setInterval(refresh, EVERY_MS);
