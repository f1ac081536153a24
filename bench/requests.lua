-- What wrk sends, one operation a request, and what bench/logs.py and bench/run.py read from it.
-- Argument: what (deposit, hot, mix, or read with its consistency). Accounts are conta-0 to conta-99.
local ACCOUNTS = 100
local headers = { ["Content-Type"] = "application/json" }
local what = "deposit"
local number = 0

local function account(place)
  return "conta-" .. (place % ACCOUNTS)
end

local function post(path, body)
  return wrk.format("POST", path, headers, body)
end

function init(arguments)
  for name, value in pairs(wrk.headers) do
    headers[name] = value
  end
  what = arguments[1] or what
end

function request()
  number = number + 1
  if what == "hot" then
    return post("/contas/conta-0/deposito", '{"valor": 1}')
  elseif what == "default" then
    return wrk.format("GET", "/contas/" .. account(number), headers)
  elseif what == "forte" or what == "local" then
    return wrk.format("GET", "/contas/" .. account(number) .. "?consistencia=" .. what, headers)
  elseif what == "mix" and number % 5 == 3 then
    return post("/contas/" .. account(number - 1) .. "/saque", '{"valor": 1}')  -- what was deposited just before
  elseif what == "mix" and number % 5 == 4 then
    local body = '{"conta_destino": "' .. account(number) .. '", "valor": 1}'
    return post("/contas/" .. account(number - 3) .. "/transferencia", body)
  end
  return post("/contas/" .. account(number) .. "/deposito", '{"valor": 1}')
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format("\n%d %d %d %d %d %d\n", summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
