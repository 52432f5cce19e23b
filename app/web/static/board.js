/* Refreshes the board at /admin every five seconds while the page is visible. */

const board = document.getElementById("board");
const EVERY_MS = 5000;

function refresh() {
  // Not while an element of the board has the focus.
  if (document.hidden || board.contains(document.activeElement)) return;
  // Not fetch(): it returns text, which the page's policy does not allow scripts to turn into elements.
  const request = new XMLHttpRequest();
  request.open("GET", board.dataset.url);
  request.responseType = "document";
  request.onload = () => {
    if (request.status === 401) location.reload();
    if (request.status === 200 && request.response) board.replaceChildren(...request.response.body.childNodes);
  };
  request.send(); // if the server is unreachable, the board's time shows its age
}

setInterval(refresh, EVERY_MS);
