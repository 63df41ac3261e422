-- wrk runs this for a server that shall be asked for less than it can take: each connection waits a random while between
-- two requests. MEAN_WAIT_MS says how long, on average. wrk counts waits in whole milliseconds, so that the requests of
-- one millisecond come at once; rounding them at random keeps the average.
-- A latency begins when the request is written, and the wait is not part of it. For an answer that took longer than two
-- mean waits, wrk adds what its connection would have asked meanwhile.
local longest = 2 * tonumber(os.getenv("MEAN_WAIT_MS"))

function delay()
  return math.floor(math.random() * longest + math.random())
end

-- wrk has microseconds, and milliseconds are printed.
function done(_, latency)
  local p50, p99 = latency:percentile(50) / 1000, latency:percentile(99) / 1000
  print(string.format('{"p50": %.3f, "p99": %.3f}', p50, p99))
end
