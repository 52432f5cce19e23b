// What a developer does in the console, with a mouse, with keys only, and without scripts.
import assert from "node:assert/strict";
import { execFile as execute } from "node:child_process";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const execFile = promisify(execute);

const chatOf = (page) => page.locator("gatehouse-chat");
const badge = (page) => page.locator("#status .badge");
const MAX_FIRST_PAINT = 100_000; // bytes, not compressed

async function say(page, text) {
  await chatOf(page).locator("[part=input]").fill(text);
  await chatOf(page).locator("[part=input]").press("Enter");
}

async function simulate(page, state) {
  await page.selectOption("#simulate", state);
}

async function choose(page, kind) {
  await page.locator(`#kinds a[href="#${kind}"]`).click();
  await page.locator(`#${kind}`).waitFor();
}

export async function an_answer_streams_and_the_wire_shows_it({ open }) {
  const page = await open();
  await say(page, "Show me a table");
  await page.locator("#events li").nth(3).waitFor(); // while it comes
  await page.getByText("$0.000000").waitFor();
  assert.equal(await badge(page).textContent(), "200 OK");
  assert.match(await page.locator("#facts").textContent(), /First token after.*Complete after.*Tokens\d+ in, \d+ out/s);
  assert.match(await page.locator("#events").textContent(), /"done":true/);
  assert.match(await page.locator("#code").textContent(), /Show me a table/);
  assert.equal(await chatOf(page).locator("table").count(), 1);
  await page.getByText("Headers", { exact: true }).click();
  assert.match(await page.locator("#headers").textContent(), /x-request-id/);
}

export async function a_call_is_shown_as_the_code_of_five_clients({ open }) {
  const page = await open();
  await page.fill("#set-maxTokens", "40");
  await page.fill("#set-temperature", "0.5");
  const expected = {
    curl: /curl -N http:\/\/127.0.0.1:\d+\/api\/chat\/stream \\\n {2}-H 'Content-Type: application\/json'[^]*"maxTokens": 40/,
    fetch: /await fetch\([^]*"maxTokens": 40/,
    useChat: /new DefaultChatTransport\(\{\n {4}api: "http:[^]*"temperature": 0.5/,
    "openai-python": /max_completion_tokens=40,\n {4}temperature=0.5,\n {4}stream=True/,
    "openai-node": /"max_completion_tokens": 40,\n {2}"temperature": 0.5,\n {2}"stream": true/,
  };
  for (const [language, pattern] of Object.entries(expected)) {
    await page.getByRole("tab", { name: language, exact: true }).click();
    assert.match(await page.locator("#code").textContent(), pattern);
  }
  await simulate(page, "slow");
  assert.match(await page.locator("#code").textContent(), /defaultHeaders: \{ "X-Simulate": "slow" \}/);
  await page.click("#copy");
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), await page.locator("#code").textContent());
}

export async function the_code_that_is_shown_runs({ open, python }) {
  const page = await open();
  const codeOf = async (language) => {
    await page.getByRole("tab", { name: language, exact: true }).click();
    return page.locator("#code").textContent();
  };
  const run = (command, ...args) => execFile(command, args, { timeout: 20_000 }).then(({ stdout }) => stdout);
  const expected = {
    chat: { curl: /"done":true/, fetch: /"done":true/, "openai-python": /offline model/, "openai-node": /offline model/ },
    structured: { curl: /"data":\{"city":"Berlin"/, fetch: /"done":true/, "openai-python": /"city":"Berlin"/, "openai-node": /"city":"Berlin"/ },
    embeddings: { curl: /"similarity":/, fetch: /similarity:/, "openai-python": /embedding=\[/, "openai-node": /embedding: \[/ },
  };
  for (const [kind, languages] of Object.entries(expected)) {
    await choose(page, kind);
    for (const [language, pattern] of Object.entries(languages)) {
      const code = await codeOf(language);
      const printed = language === "curl" ? run("sh", "-c", code) : language.endsWith("python") ? run(python, "-c", code) : run("node", "--input-type=module", "-e", code);
      assert.match(await printed, pattern, `${kind}: ${language}`);
    }
  }
  await page.fill("#set-systemPrompt", "It's \"$TOKEN\", $(echo no).");
  await choose(page, "chat");
  assert.match(await run("sh", "-c", await codeOf("curl")), /"done":true/);
  await choose(page, "structured");
  await page.selectOption("#structured-name", "contact"); // only our own routes know it
  assert.match(await codeOf("openai-python"), /^# OpenAI's library has another form/);
}

export async function the_code_that_is_copied_has_long_texts_and_images_whole({ open, python }) {
  const page = await open("/#image");
  const copyAs = async (language) => {
    await page.getByRole("tab", { name: language, exact: true }).click();
    await page.click("#copy");
    return page.evaluate(() => navigator.clipboard.readText());
  };
  const run = async (language) => {
    const code = await copyAs(language);
    const folder = await mkdtemp(join(tmpdir(), "wire-"));
    const program = join(folder, "program.mjs"); // longer than an argument may be
    await writeFile(program, code);
    if (language === "openai-node") await symlink(join(import.meta.dirname, "..", "node_modules"), join(folder, "node_modules"));
    const command = { curl: "sh", "openai-python": python }[language] ?? "node";
    const { stdout } = await execFile(command, [program], { timeout: 20_000 });
    await rm(folder, { recursive: true });
    return stdout;
  };
  const picture = await page.screenshot();
  await page.setInputFiles("#image-file", { name: "shot.png", mimeType: "image/png", buffer: picture });
  await page.getByRole("tab", { name: "fetch", exact: true }).click();
  await page.locator("#code").getByText("data:image/png;base64,iVBOR").waitFor();
  assert.ok((await page.locator("#code").textContent()).length < 1000, "what is shown is to be read");
  assert.match(await run("fetch"), /"done":true/);
  for (const language of ["openai-python", "openai-node"]) assert.match(await run(language), /image 1: a PNG image/, language);
  await choose(page, "chat");
  const long = `${"It's long. ".repeat(12_000)}The end.`;
  await page.fill("#set-systemPrompt", long);
  assert.ok((await copyAs("curl")).includes("The end."));
  assert.match(await run("curl"), /"done":true/);
}

export async function settings_and_kept_prompts_are_sent({ open }) {
  const page = await open();
  await page.selectOption("#set-promptName", "shop");
  assert.equal(await page.locator("[data-prompt=other]").isVisible(), false);
  await page.fill("#var-shop-name", "Acme");
  await page.fill("#var-shop-stars", "4");
  await page.selectOption("#var-shop-open", "false");
  const [request] = await Promise.all([page.waitForRequest(/\/api\/chat\/stream/), say(page, "Hello")]);
  const { promptName, variables, messages } = request.postDataJSON();
  assert.deepEqual({ promptName, variables }, { promptName: "shop", variables: { name: "Acme", stars: 4, open: false } });
  assert.deepEqual(messages, [{ role: "user", content: "Hello" }]);
  await page.getByText('"done":true').waitFor();
}

export async function each_state_can_be_simulated({ open, checkAccess }) {
  const page = await open();
  const state = (name) => page.locator(`gatehouse-chat[state=${name}]`).waitFor({ state: "attached" });
  await simulate(page, "rate-limit");
  await say(page, "One");
  await page.getByText("429", { exact: false }).first().waitFor();
  await state("paused");
  await checkAccess(page, "countdown");
  await simulate(page, ""); // the waiting request is sent again, and is answered
  await page.getByText('"done":true').waitFor();
  for (const [name, expected] of [["refusal", /can't help with that/], ["content-filter", /"finishReason":"content_filter"/], ["cut", /upstream_truncated/], ["slow", /token/]]) {
    await page.reload();
    await page.waitForSelector("gatehouse-chat:defined");
    await simulate(page, name);
    await say(page, "Hello");
    const where = name === "refusal" ? chatOf(page) : page.locator("#events");
    await where.getByText(expected).first().waitFor();
  }
  const [before] = [await page.locator("#events li").count()];
  assert.ok(before < 20, "slow tokens are slow");
  await chatOf(page).getByRole("button", { name: "Stop" }).click();
  await page.getByText("stopped").waitFor();
}

export async function an_image_shows_what_intake_does_to_it({ open, checkAccess }) {
  const page = await open("/#image");
  const picture = await page.screenshot({ type: "jpeg", quality: 60 });
  await page.setInputFiles("#image-file", { name: "shot.jpg", mimeType: "image/jpeg", buffer: picture });
  const facts = page.locator(".intake-facts");
  await facts.getByText("image/jpeg, 1,280 × 800 px").first().waitFor();
  assert.match(await facts.textContent(), /≈ [\d,]+ tokens/);
  assert.match(await page.locator("#code").textContent(), /-F 'image=@shot.jpg'/);
  await page.click("#image button.primary");
  await page.locator("#image .output").getByText("I looked at image 1: a JPEG image").waitFor();
  await checkAccess(page, "image");
  await page.setInputFiles("#image-file", { name: "no.png", mimeType: "image/png", buffer: Buffer.from("no picture") });
  await page.locator("#image .problem").getByText("image: must be a").waitFor();
}

export async function a_structured_value_grows_and_a_fault_is_marked({ open, checkAccess }) {
  const page = await open("/#structured");
  await page.click("#structured button.primary");
  await page.locator("#structured .facts").getByText("tokens").waitFor();
  assert.deepEqual(Object.keys(JSON.parse(await page.locator("#structured .output code").textContent())), ["city", "people"]);
  assert.match(await page.locator("#events").textContent(), /"partial".*"partial".*"done":true/s);
  const schema = JSON.parse(await page.inputValue("#structured-schema"));
  schema.properties.people.type = "nothing";
  await page.fill("#structured-schema", JSON.stringify(schema, null, 2));
  await page.click("#structured button.primary");
  await page.locator("#structured-fault").getByText(/^Line 7: schema\.properties\.people: /).waitFor();
  const selected = await page.locator("#structured-schema").evaluate((area) => area.value.slice(area.selectionStart, area.selectionEnd));
  assert.match(selected, /^"people": \{\s+"type": "nothing"\s+\}$/);
  await checkAccess(page, "fault");
  await page.fill("#structured-schema", "{");
  await page.click("#structured button.primary");
  assert.equal(await page.getAttribute("#structured-schema", "aria-invalid"), "true");
}

export async function similarity_is_drawn_as_bars({ open, checkAccess }) {
  const page = await open();
  await choose(page, "embeddings");
  await page.click("#embeddings button.primary");
  await page.locator(".bars li").nth(3).waitFor();
  const widths = await page.locator(".track > div").evaluateAll((bars) => bars.map((bar) => bar.clientWidth));
  assert.deepEqual(widths, widths.toSorted((one, other) => other - one));
  assert.ok(widths[0] > widths[3]);
  await checkAccess(page, "embeddings");
}

export async function a_panel_counts_a_wait_down_and_can_be_stopped({ open, checkAccess }) {
  const page = await open("/#structured");
  await simulate(page, "rate-limit");
  for (const kind of ["structured", "embeddings"]) {
    await choose(page, kind);
    const problem = page.locator(`#${kind} .problem`);
    await page.click(`#${kind} button.primary`);
    await problem.getByText("Retrying in 4 s").waitFor();
    assert.match(await problem.getAttribute("class"), /warn/);
    await checkAccess(page, `${kind}: wait`);
    await page.click(`#${kind} .stop`);
    await problem.waitFor({ state: "hidden" });
  }
  await choose(page, "structured");
  await page.click("#structured button.primary");
  await page.locator("#structured .problem").getByText("Retrying in").waitFor();
  await simulate(page, ""); // the waiting request is sent again, and is answered
  await page.locator("#structured .facts").getByText("tokens").waitFor();
  await page.locator("#structured .problem").waitFor({ state: "hidden" });
}

export async function a_batch_needs_a_key_and_says_so({ open, checkAccess, key }) {
  const page = await open("/#batch");
  await page.fill("#batch-key", "gh_wrong");
  await page.click("#batch button.primary");
  await page.locator("#batch .problem").waitFor();
  assert.match(await badge(page).textContent(), /401/);
  await page.fill("#batch-key", key);
  assert.match(await page.locator("#code").textContent(), /-H "Authorization: Bearer \$KEY"/);
  await page.click("#batch button.primary");
  const [results, refresh] = ["Results", "Refresh"].map((name) => page.getByRole("button", { name }));
  await refresh.waitFor();
  for (let tries = 0; tries < 30 && !(await results.isVisible()); tries += 1) {
    await Promise.all([page.waitForResponse(/\/batches\/batch_/), refresh.click()]);
    await page.waitForTimeout(500); // the offline model takes a second for a batch
  }
  await results.click();
  await page.locator("#batch .results").getByText("What is ice?").waitFor();
  await checkAccess(page, "batch");
}

export async function everything_can_be_done_with_keys_alone({ open }) {
  const page = await open();
  const focused = () => page.evaluate(() => document.activeElement.textContent.trim() || document.activeElement.id);
  const { keyboard } = page;
  await keyboard.press("Tab");
  assert.equal(await focused(), "Skip to content");
  await keyboard.press("Enter");
  for (const expected of ["Chat", "Image", "Structured"]) {
    await keyboard.press("Tab");
    assert.equal(await focused(), expected);
  }
  await keyboard.press("Enter");
  await page.locator("#structured").waitFor();
  await page.locator("#structured-prompt").focus();
  const names = [];
  for (let at = 0; at < 4; at += 1) {
    await keyboard.press("Tab");
    names.push(await page.evaluate(() => document.activeElement.id || document.activeElement.textContent));
  }
  assert.deepEqual(names.slice(-3), ["structured-schema", "structured-normalize", "Generate"]);
  await keyboard.press("Enter");
  await page.locator("#structured .output").waitFor();
  await page.getByRole("tab", { name: "curl" }).focus();
  await keyboard.press("ArrowRight");
  assert.equal(await page.getByRole("tab", { name: "fetch" }).getAttribute("aria-selected"), "true");
}

export async function without_scripts_the_form_gets_a_page({ open }) {
  const page = await open("/?prompt=shop", { javaScriptEnabled: false });
  assert.equal(await page.locator("#kinds").isVisible(), false);
  await page.fill("#var-shop-name", "Acme");
  await page.fill("#message", "markdown, please");
  await page.click("#chat button.primary");
  await page.locator(".prose table").waitFor();
  assert.equal(new URL(page.url()).pathname, "/embed/ask");
  const said = await page.locator(".turn").allTextContents();
  await page.reload(); // sends the form again, and gets the same answer
  assert.deepEqual(await page.locator(".turn").allTextContents(), said);
  assert.equal(await page.locator("input[name=promptName]").inputValue(), "shop");
  await page.fill("textarea", "and a list");
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByText("and a list", { exact: true }).waitFor();
  assert.equal(await page.locator(".turn").count(), 4);
  await page.reload(); // sends the form again
  assert.equal(await page.locator(".turn").count(), 4);
}

export async function no_page_has_a_fault_of_access({ open, checkAccess }) {
  for (const colorScheme of ["light", "dark"]) {
    for (const viewport of [{ width: 1280, height: 800 }, { width: 390, height: 844 }]) {
      const page = await open("/", { colorScheme, viewport });
      await checkAccess(page, `console ${colorScheme}`);
      await page.goto(new URL("/nothing", page.url()).href);
      await checkAccess(page, `error ${colorScheme}`);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, "it fits its width");
    }
  }
  const page = await open("/docs");
  await checkAccess(page, "docs");
  const answer = await open();
  await answer.evaluate(() => {
    document.getElementById("message").value = "markdown";
    document.getElementById("ask").submit();
  });
  await answer.locator(".prose table").waitFor();
  await checkAccess(answer, "answer");
}

export async function the_first_paint_is_small({ open, server }) {
  for (const path of ["/", "/docs", "/nothing", "/usage", "/admin/sign-in"]) await paintsLittle(await open(path), server);
}

async function paintsLittle(page, server) {
  const sizes = await page.evaluate(() => {
    const [document_] = performance.getEntriesByType("navigation");
    const files = performance.getEntriesByType("resource");
    const blocking = files.filter(({ renderBlockingStatus }) => renderBlockingStatus === "blocking");
    return [document_, ...blocking].map(({ name, decodedBodySize }) => [name, decodedBodySize]);
  });
  const total = sizes.reduce((sum, [, size]) => sum + size, 0);
  assert.ok(total > 9_000 && total < MAX_FIRST_PAINT, JSON.stringify(sizes));
  const urls = await page.evaluate(() => performance.getEntriesByType("resource").map(({ name }) => name));
  assert.deepEqual(urls.filter((url) => !url.startsWith(server)), [], "nothing comes from elsewhere");
}

export async function scripts_and_html_of_others_are_stopped_by_the_policy({ open, problems }) {
  const page = await open();
  const stopped = await page.evaluate(() => {
    const tries = [
      () => (document.createElement("div").innerHTML = "<b>x</b>"),
      () => (document.createElement("script").textContent = "globalThis.ran = 1"),
      () => (document.createElement("script").src = "https://evil.example/x.js"),
      () => globalThis.trustedTypes.createPolicy("other", {}),
    ];
    return tries.map((attempt) => {
      try {
        attempt();
        return "ran";
      } catch (error) {
        return error.name;
      }
    });
  });
  assert.deepEqual(stopped, ["TypeError", "TypeError", "TypeError", "TypeError"]);
  problems.length = 0; // the browser has said so
}
