/* Keeps the board of /admin up to date: every five seconds, while the page can be seen. */

const board = document.getElementById("board");
const EVERY_MS = 5000;

function refresh() {
  // Not under somebody's hands: what they have focused stays.
  if (document.hidden || board.contains(document.activeElement)) return;
  // Not fetch(): it gives text, and the page's policy lets no script make elements of a text.
  const request = new XMLHttpRequest();
  request.open("GET", board.dataset.url);
  request.responseType = "document";
  request.onload = () => {
    if (request.status === 401) location.reload();
    if (request.status === 200 && request.response) board.replaceChildren(...request.response.body.childNodes);
  };
  request.send(); // if the server is away, the time on the board says how old it is
}

setInterval(refresh, EVERY_MS);
