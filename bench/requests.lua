-- What wrk sends, one operation a request, and what bench/logs.py and bench/run.py read from it.
-- Arguments: what (deposit, hot, random, mix, one, or read with its consistency) and the number of accounts, which are
-- conta-0 and so on: asked in turn, at random, or the first one alone.
local accounts = 100
local headers = { ["Content-Type"] = "application/json" }
local what = "deposit"
local number = 0

local function account(place)
  return "conta-" .. (place % accounts)
end

local function post(path, body)
  return wrk.format("POST", path, headers, body)
end

function init(arguments)
  for name, value in pairs(wrk.headers) do
    headers[name] = value
  end
  what = arguments[1] or what
  accounts = tonumber(arguments[2]) or accounts
  math.randomseed(os.time())
end

function request()
  number = number + 1
  if what == "hot" then
    return post("/contas/conta-0/deposito", '{"valor": 1}')
  elseif what == "random" then
    return post("/contas/" .. account(math.random(0, accounts - 1)) .. "/deposito", '{"valor": 1}')
  elseif what == "one" then
    return wrk.format("GET", "/contas/conta-0?consistencia=local", headers)
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
