// useCompletion() in text mode: completes a prompt, and prints the text and the error.
import { finish, options, renderHook, until } from "./page.mjs";

const { useCompletion } = await import(`react-ai${options.version}`);

const page = renderHook(() => useCompletion({ streamProtocol: "text" }));
await until(() => page.current, "the page is rendered");
await page.current.complete(options.prompt, { body: options.body });
await until(() => !page.current.isLoading, "the text is complete");
finish({ text: page.current.completion, error: page.current.error?.message });
