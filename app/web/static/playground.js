// The page at / in development. streamChat() and the code above it do not depend on the page: copy them.

/** An error that the server sent: its sentence, with `code`, `requestId` and `status`. */
export class ChatError extends Error {
  constructor(body, status) {
    super(typeof body?.error === "string" ? body.error : "The server refused the request without a reason.");
    Object.assign(this, { name: "ChatError", status, code: body?.code, requestId: body?.requestId });
  }
}

/** Yields the JSON of each `data:` event. Chunks may be split anywhere; comments are ignored. */
async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let data = [];
  try {
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      const lines = (rest + piece.value).split(/\r?\n/);
      rest = lines.pop(); // an incomplete line
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
    await reader.cancel().catch(() => {}); // closing the connection also stops the model
  }
}

/**
 * Yields `{token}` for each piece of an answer, then `{done, finishReason, usage, model, id}`.
 * Throws ChatError for an error of the server, TypeError if the network fails, AbortError after an abort.
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
  for await (const event of readEvents(response.body)) {
    if (event.error) {
      throw new ChatError(event);
    }
    yield event;
    if (event.done) {
      return;
    }
  }
  throw new ChatError({ error: "The answer ended before it was complete." });
}

// From here on: the page.

const element = (id) => document.getElementById(id);
const [log, status, form, input] = [element("log"), element("status"), element("form"), element("text")];
const [send, stop, template] = [element("send"), element("stop"), element("message")];
const conversation = []; // the messages in the log, as [{role, content}]
let answering = null; // the AbortController of the running answer

async function ask(question) {
  const sent = show("user", question);
  const answer = show("assistant", "");
  const text = answer.querySelector(".text").appendChild(new Text());
  conversation.push({ role: "user", content: question });
  keepScrolled(() => begin(answer));
  let problem = "";
  let facts = "";
  try {
    for await (const event of streamChat(conversation, { signal: answering.signal })) {
      if (event.done) {
        facts = describeFacts(event);
      } else {
        keepScrolled(() => text.appendData(event.token));
      }
    }
  } catch (error) {
    problem = answering.signal.aborted ? "Stopped." : describeError(error);
    facts = answering.signal.aborted ? "stopped" : "cut off";
  }
  if (text.length) {
    conversation.push({ role: "assistant", content: text.data });
    keepScrolled(() => (answer.querySelector(".facts").textContent = facts));
  } else {
    // No text arrived: put the question back into the form, so that it can be sent again.
    conversation.pop();
    sent.remove();
    answer.remove();
    input.value ||= question;
    problem ||= `The model wrote nothing (${facts}).`;
  }
  keepScrolled(() => end(answer, problem));
}

function begin(answer) {
  answering = new AbortController();
  answer.setAttribute("aria-busy", "true"); // screen readers read it once it is complete, not word by word
  setStatus("Answering…");
  stop.hidden = false;
  if (document.activeElement === send) {
    stop.focus();
  }
  send.disabled = true;
}

function end(answer, problem) {
  answer.removeAttribute("aria-busy");
  setStatus(problem, problem !== "" && !answering.signal.aborted);
  if (problem || !element("fault").hidden) {
    refreshFault();
  }
  answering = null;
  send.disabled = false;
  if (document.activeElement === stop) {
    send.focus();
  }
  stop.hidden = true;
}

/** Show what the owner can do about a fault of the upstream; the page has it, as loaded anew. */
async function refreshFault() {
  try {
    const page = new DOMParser().parseFromString(await (await fetch("/")).text(), "text/html");
    const [shown, fresh] = [element("fault"), page.getElementById("fault")];
    shown.textContent = fresh.textContent;
    shown.hidden = fresh.hidden;
  } catch {
    // the server is away; the status says so
  }
}

function setStatus(sentence, isError = false) {
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

/** Make a change to the page, and stay at the end of the log unless the reader has scrolled up. */
function keepScrolled(change) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 32;
  change();
  if (atEnd) {
    log.scrollTop = log.scrollHeight;
  }
}

function describeFacts({ finishReason, usage, model }) {
  const { prompt_tokens: prompt, completion_tokens: completion, total_tokens: total } = usage ?? {};
  const tokens = usage ? `${prompt} + ${completion} = ${total} tokens` : "not reported";
  return `finishReason: ${finishReason} · usage: ${tokens} · model: ${model}`;
}

function describeError(error) {
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
      getSelection().selectAllChildren(command); // no clipboard on plain http: select it for the keyboard
    }
  });
}
