-- What wrk sends, one deposit a request over many accounts, and what bench/logs.py and bench/run.py read from it.
local number = 0
local headers = { ["Content-Type"] = "application/json" }

function request()
  number = number + 1
  return wrk.format("POST", "/contas/conta-" .. (number % 100) .. "/deposito", headers, '{"valor": 1}')
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format("\n%d %d %d %d %d %d\n", summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
