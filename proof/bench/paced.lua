-- Connections that wait a random while between two requests, so that the server is never asked for all it can do.
-- wrk's own latencies begin when a request is written. MEAN_WAIT_MS is how long they wait; percentiles are in ms.
local longest = 2 * tonumber(os.getenv("MEAN_WAIT_MS"))

function delay()
  return math.random(0, longest)
end

function done(_, latency)
  local p50, p99 = latency:percentile(50) / 1000, latency:percentile(99) / 1000
  print(string.format('{"p50": %.3f, "p99": %.3f}', p50, p99))
end
