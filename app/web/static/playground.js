// The page at / in development. streamChat() and what stands above it need nothing of the page: copy them.

/** What the server says when it refuses, or cannot finish: its sentence, with `code`, `requestId` and `status`. */
export class ChatError extends Error {
  constructor(body, status) {
    super(typeof body?.error === "string" ? body.error : "The server refused and did not say why.");
    Object.assign(this, { name: "ChatError", status, code: body?.code, requestId: body?.requestId });
  }
}

/** Yields the JSON of each `data:` event; bytes may be cut anywhere, and comments are passed over. */
async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let data = [];
  try {
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      const lines = (rest + piece.value).split(/\r?\n/);
      rest = lines.pop(); // not a whole line yet
      for (const line of lines) {
        if (line.startsWith("data:")) {
          data.push(line.slice(5));
        } else if (line === "" && data.length) {
          yield JSON.parse(data.join("\n"));
          data = [];
        }
      }
    }
  } finally {
    await reader.cancel().catch(() => {}); // whoever stops reading also stops the answer
  }
}

/**
 * Yields `{token}` for each piece of an answer, then `{done, finishReason, usage, model, id}`.
 * Throws ChatError for what the server says, TypeError if the network fails, AbortError after an abort.
 */
export async function* streamChat(messages, { signal } = {}) {
  const response = await fetch("/api/chat/stream", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ messages }),
    signal,
  });
  if (!response.ok) {
    throw new ChatError(await response.json().catch(() => null), response.status);
  }
  for await (const event of eventsOf(response.body)) {
    if (event.error) {
      throw new ChatError(event);
    }
    yield event;
    if (event.done) {
      return;
    }
  }
  throw new ChatError({ error: "The answer ended before it was whole." });
}

// From here on: the page.

const element = (id) => document.getElementById(id);
const [log, status, form, input] = [element("log"), element("status"), element("form"), element("text")];
const [send, stop, template] = [element("send"), element("stop"), element("message")];
const conversation = []; // what the log shows, as [{role, content}]
let answering = null; // the AbortController of the answer that is being written

async function ask(question) {
  const asked = show("user", question);
  const answer = show("assistant", "");
  const text = answer.querySelector(".text").appendChild(new Text());
  conversation.push({ role: "user", content: question });
  following(() => begin(answer));
  let fault = "";
  let facts = "";
  try {
    for await (const event of streamChat(conversation, { signal: answering.signal })) {
      if (event.done) {
        facts = factsOf(event);
      } else {
        following(() => text.appendData(event.token));
      }
    }
  } catch (error) {
    fault = answering.signal.aborted ? "Stopped." : faultOf(error);
    facts = answering.signal.aborted ? "stopped" : "cut off";
  }
  if (text.length) {
    conversation.push({ role: "assistant", content: text.data });
    following(() => (answer.querySelector(".facts").textContent = facts));
  } else {
    // There is nothing to go on from: the question goes back to where it can be sent again.
    conversation.pop();
    asked.remove();
    answer.remove();
    input.value ||= question;
    fault ||= `The model wrote nothing (${facts}).`;
  }
  following(() => end(answer, fault));
}

function begin(answer) {
  answering = new AbortController();
  answer.setAttribute("aria-busy", "true"); // read aloud once it is whole, and not word by word
  say("Answering…");
  stop.hidden = false;
  if (document.activeElement === send) {
    stop.focus();
  }
  send.disabled = true;
}

function end(answer, fault) {
  answer.removeAttribute("aria-busy");
  say(fault, fault !== "" && !answering.signal.aborted);
  answering = null;
  send.disabled = false;
  if (document.activeElement === stop) {
    send.focus();
  }
  stop.hidden = true;
}

function say(sentence, isError = false) {
  status.textContent = sentence;
  status.classList.toggle("error", isError);
}

function show(role, content) {
  const message = template.content.cloneNode(true).firstElementChild;
  message.classList.add(role);
  message.querySelector("h3").textContent = role === "user" ? "You" : "Model";
  message.querySelector(".text").textContent = content;
  element("hint")?.remove();
  log.append(message);
  log.scrollTop = log.scrollHeight;
  return message;
}

/** Make a change to the page, and stay at the log's end unless the reader has scrolled up. */
function following(change) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 32;
  change();
  if (atEnd) {
    log.scrollTop = log.scrollHeight;
  }
}

function factsOf({ finishReason, usage, model }) {
  const { prompt_tokens: asked, completion_tokens: answered, total_tokens: total } = usage ?? {};
  const tokens = usage ? `${asked} + ${answered} = ${total} tokens` : "not told";
  return `finishReason: ${finishReason} · usage: ${tokens} · model: ${model}`;
}

function faultOf(error) {
  if (!(error instanceof ChatError)) {
    console.error(error);
    return "The connection to the server failed.";
  }
  const { status, code, requestId } = error;
  const details = [status && `status ${status}`, code, requestId && `request ${requestId}`].filter(Boolean);
  return details.length ? `${error.message} (${details.join(", ")})` : error.message;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const question = input.value;
  if (!answering && question.trim()) {
    input.value = "";
    ask(question);
  }
});

input.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    form.requestSubmit();
  }
});

stop.addEventListener("click", () => answering?.abort());

for (const button of document.querySelectorAll(".copy")) {
  button.addEventListener("click", async () => {
    const command = button.closest("details").querySelector("pre");
    try {
      await navigator.clipboard.writeText(command.textContent);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 2000);
    } catch {
      getSelection().selectAllChildren(command); // no clipboard on plain http; the keyboard still has one
    }
  });
}
