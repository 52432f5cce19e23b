// useObject(): submits a body, and prints each value that a page would show, and the error.
import { z } from "zod";
import { finish, options, renderHook, until } from "./page.mjs";

const { experimental_useObject: useObject } = await import(`react-ai${options.version}`);

const schema = z.object({ name: z.string(), age: z.number() });
const shown = [];
const ended = [];
const page = renderHook(() => {
  const state = useObject({
    api: "/api/structured/stream?format=text",
    schema,
    onFinish: (end) => ended.push(end),
  });
  if (state.object) shown.push(state.object);
  return state;
});
await until(() => page.current, "the page is rendered");
page.current.submit({ schema: z.toJSONSchema(schema), ...options.body });
await until(() => ended.length || page.current.error, "the value is complete");
finish({ shown, object: ended[0]?.object, invalid: ended[0]?.error?.message, error: page.current.error?.message });
