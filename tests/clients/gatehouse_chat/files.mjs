// Images and PDF files in a message.
import assert from "node:assert/strict";

const PNG = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");
const picture = (name = "cat.png") => ({ name, mimeType: "image/png", buffer: PNG });
const PDF = { name: "bill.pdf", mimeType: "application/pdf", buffer: makePdf() };

export async function files_are_added_by_the_button_shown_and_sent({ open, upstream, view }) {
  await open();
  await choose(view, [picture(), PDF]);
  await view.chat.getByText("bill.pdf").waitFor();
  assert.equal(await view.chat.locator(".composer .file").count(), 2);
  await view.chat.locator(".composer canvas").waitFor();
  await view.say("What is this?");
  await view.lastAnswer("Hello.");
  assert.equal(await view.chat.locator(".composer .file").count(), 0);
  assert.equal(await view.asked.last().locator(".file").count(), 2);
  const [{ content }] = upstream.received[0].messages;
  assert.deepEqual(content.map(({ type }) => type), ["text", "image_url", "file"]);
  assert.match(content[1].image_url.url, /^data:image\/png;base64,/);
  assert.equal(content[2].file.filename, "bill.pdf");
}

export async function files_are_dropped_and_pasted({ open, upstream, view }) {
  await open();
  await view.page.evaluate((bytes) => {
    const root = document.querySelector("gatehouse-chat").shadowRoot;
    const give = (name) => {
      const data = new DataTransfer();
      data.items.add(new File([Uint8Array.from(bytes)], name, { type: "image/png" }));
      return data;
    };
    const options = { bubbles: true, cancelable: true, composed: true };
    const panel = root.querySelector("[part=panel]");
    panel.dispatchEvent(new DragEvent("dragover", { ...options, dataTransfer: give("a.png") }));
    globalThis.wasShown = !root.querySelector("[part=drop]").hidden;
    panel.dispatchEvent(new DragEvent("drop", { ...options, dataTransfer: give("dropped.png") }));
    root.querySelector("textarea").dispatchEvent(new ClipboardEvent("paste", { ...options, clipboardData: give("pasted.png") }));
  }, [...PNG]);
  await view.chat.getByText("dropped.png").waitFor();
  await view.chat.getByText("pasted.png").waitFor();
  assert.equal(await view.page.evaluate(() => wasShown), true);
  assert.equal(await view.chat.locator("[part=drop]").isVisible(), false);
  await view.button("Send").click();
  await view.lastAnswer("Hello.");
  assert.deepEqual(upstream.received[0].messages[0].content.map(({ type }) => type), ["image_url", "image_url"]);
}

export async function a_file_is_taken_away_again({ open, upstream, view }) {
  await open();
  await choose(view, [picture("one.png"), picture("two.png")]);
  await view.button("Remove one.png").click();
  await view.say("Hello");
  await view.lastAnswer("Hello.");
  assert.equal(upstream.received[0].messages[0].content.length, 2);
}

export async function what_cannot_be_sent_is_told({ open, view }) {
  await open({ tag: '<gatehouse-chat max-files="2" max-file-mb="1"></gatehouse-chat>' });
  await choose(view, [{ name: "x.zip", mimeType: "application/zip", buffer: PNG }]);
  await view.notice.getByText("x.zip is neither an image nor a PDF file.").waitFor();
  await choose(view, [{ ...PDF, name: "big.pdf", buffer: Buffer.alloc(1_000_001) }]);
  await view.notice.getByText("big.pdf is larger than 1 MB.").waitFor();
  await choose(view, [picture("1.png"), picture("2.png"), picture("3.png")]);
  await view.notice.getByText("You can add at most 2 files.").waitFor();
  await view.chat.locator(".composer .file").nth(1).waitFor();
  assert.deepEqual(await view.chat.locator(".composer .file").evaluateAll((files) => files.map(({ title }) => title)), ["1.png", "2.png"]);
}

export async function a_warning_stays_while_an_answer_comes({ open, upstream, view }) {
  const held = upstream.holds("One ", "two.");
  await open();
  await view.say("Hello");
  held.release(1);
  await view.lastAnswer("One");
  await choose(view, [{ name: "x.zip", mimeType: "application/zip", buffer: PNG }]);
  held.release();
  await view.lastAnswer("One two.");
  assert.match(await view.notice.textContent(), /x\.zip is neither/);
  await view.button("Dismiss").click();
  await view.notice.waitFor({ state: "hidden" });
}

export async function a_large_picture_is_scaled_down({ open, upstream, view }) {
  await open();
  const bytes = await view.page.evaluate(async () => {
    const canvas = new OffscreenCanvas(4000, 1000);
    const pixels = canvas.getContext("2d").createImageData(4000, 1000);
    crypto.getRandomValues(pixels.data.subarray(0, 65536));
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    return [...new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer())];
  });
  await choose(view, [{ ...picture(), buffer: Buffer.from(bytes) }]);
  await view.say("Look");
  await view.lastAnswer("Hello.");
  const { url } = upstream.received[0].messages[0].content[1].image_url;
  const width = await view.page.evaluate(async (base64) => (await createImageBitmap(new Blob([Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))]))).width, url.split(",")[1]);
  assert.equal(width, 2048);
}

export async function pictures_survive_a_reload({ open, upstream, view }) {
  await open();
  await choose(view, [picture()]);
  await view.say("What is this?");
  await view.lastAnswer("Hello.");
  await view.page.reload();
  await view.asked.last().locator("canvas").waitFor();
  await view.say("And now?");
  await view.answers.nth(1).getByText("Hello.").waitFor();
  assert.equal(upstream.received[1].messages[0].content[1].type, "image_url");
}

export async function where_storage_has_no_room_files_go_first({ open, upstream, view }) {
  await open({ script: `sessionStorage.setItem("x", "y".repeat(5_100_000));` });
  await choose(view, [{ ...PDF, buffer: Buffer.concat([PDF.buffer, Buffer.alloc(300_000)]) }]);
  await view.say("What is this?");
  await view.lastAnswer("Hello.");
  await view.page.reload();
  await view.lastAnswer("Hello.");
  assert.equal(await view.asked.last().locator(".file").textContent(), "bill.pdf");
  await view.say("And now?");
  await view.answers.nth(1).getByText("Hello.").waitFor();
  assert.equal(upstream.received[1].messages[0].content, "What is this?\n\n[bill.pdf]");
}

export async function a_page_may_take_no_files({ open, view }) {
  await open({ tag: '<gatehouse-chat attachments="none"></gatehouse-chat>' });
  assert.equal(await view.button("Add images or PDF files").count(), 0);
}

async function choose(view, files) {
  const before = await view.chat.locator(".composer .file").count();
  await view.chat.locator("input[type=file]").setInputFiles(files);
  await view.page.waitForFunction((least) => {
    const root = document.querySelector("gatehouse-chat").shadowRoot;
    return root.querySelectorAll(".composer .file").length > least || !root.querySelector("[part=notice]").hidden;
  }, before);
}

function makePdf() {
  const objects = ["<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>", "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] >>"];
  let text = "%PDF-1.4\n";
  const places = objects.map((object, at) => {
    const place = text.length;
    text += `${at + 1} 0 obj\n${object}\nendobj\n`;
    return place;
  });
  const table = places.map((place) => `${String(place).padStart(10, "0")} 00000 n \n`).join("");
  return Buffer.from(`${text}xref\n0 4\n0000000000 65535 f \n${table}trailer\n<< /Size 4 /Root 1 0 R >>\nstartxref\n${text.length}\n%%EOF\n`);
}
