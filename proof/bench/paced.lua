-- wrk runs this to send less than the server's maximum: each connection waits for a random time
-- between two requests, MEAN_WAIT_MS on average. wrk counts waits in whole milliseconds, so the requests
-- of one millisecond are sent together. Random rounding keeps the average.
-- A latency begins when the request is written, without the wait. For an answer that took longer than
-- two mean waits, wrk adds the requests that its connection would have sent meanwhile.
local longest = 2 * tonumber(os.getenv("MEAN_WAIT_MS"))

function delay()
  return math.floor(math.random() * longest + math.random())
end

-- wrk counts in microseconds; this prints milliseconds.
function done(_, latency)
  local p50, p99 = latency:percentile(50) / 1000, latency:percentile(99) / 1000
  print(string.format('{"p50": %.3f, "p99": %.3f}', p50, p99))
end
