import createClient from "openapi-fetch";
import type { paths } from "./generated.js";

const [baseUrl, key, recipient] = process.argv.slice(2);
const api = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${key}` } });
const sent = await api.POST("/api/notifications", {
  params: { header: { "Idempotency-Key": "openapi-typescript" } },
  body: { type: "email", recipient, message: "Hello", metadata: { by: "openapi-typescript" } },
});
if (sent.error) throw new Error(sent.error.detail);
const found = await api.GET("/api/notifications", {
  params: { query: { priority: "normal", metadata: ["by=openapi-typescript"] } },
});
console.log(sent.data.id, ...(found.data?.items ?? []).map((item) => item.id));
