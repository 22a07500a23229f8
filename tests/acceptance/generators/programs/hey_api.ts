import { createNotification, listNotifications } from "./generated/index.js";
import { client } from "./generated/client.gen.js";

const [baseUrl, key, recipient] = process.argv.slice(2);
client.setConfig({ baseUrl, auth: key });
const sent = await createNotification({
  headers: { "Idempotency-Key": "hey-api" },
  body: { type: "email", recipient, message: "Hello", metadata: { by: "hey-api" } },
});
if (sent.error) throw new Error(sent.error.detail);
const found = await listNotifications({ query: { priority: "normal", metadata: ["by=hey-api"] } });
console.log(sent.data.id, ...(found.data?.items ?? []).map((item) => item.id));
