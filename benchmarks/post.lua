-- Script for wrk: POST notifications as fast as they are answered. Arguments: the prefix of the recipients, and the
-- number of items per POST (0: a single notification). Prints one line of JSON; answers other than 201 are errors.

local threads = {}

function setup(thread)
  table.insert(threads, thread)
  thread:set("name", #threads)
end

function init(args)
  refused, sent = 0, 0
  prefix, items = args[1], tonumber(args[2])
  -- Built once: building a thousand addresses each time would make this script the bottleneck.
  if items > 0 then
    local content = batched()
    batch = head(#content) .. content
  else
    before = head(#body(0))
  end
end

function body(number)
  return string.format('{"type":"email","recipient":"%s%d-%09d@example.com","message":"Hello"}', prefix, name, number)
end

function batched()
  local bodies = {}
  for number = 1, items do bodies[number] = body(number) end
  return '{"items":[' .. table.concat(bodies, ",") .. ']}'
end

function head(length)
  return "POST " .. wrk.path .. " HTTP/1.1\r\nHost: " .. wrk.headers["Host"]
    .. (os.getenv("NOTIFY_KEY") and "\r\nAuthorization: Bearer " .. os.getenv("NOTIFY_KEY") or "")
    .. "\r\nContent-Type: application/json\r\nContent-Length: " .. length .. "\r\n\r\n"
end

function request()
  if batch then return batch end
  sent = sent + 1
  return before .. body(sent)
end

function response(status)
  if status ~= 201 then refused = refused + 1 end
end

function done(summary, latency)
  local errors = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  for _, thread in ipairs(threads) do errors = errors + thread:get("refused") end
  print(string.format('{"answers":%d,"seconds":%f,"errors":%d,"p50":%f,"p95":%f,"p99":%f}',
    summary.requests, summary.duration / 1e6, errors,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3))
end
