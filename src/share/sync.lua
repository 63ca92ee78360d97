-- One instance tells what it has used, and is told what all have and how much it may use next. Atomic, and idempotent:
-- what is told is a sum since the start of the instance, never a difference.
--
-- KEYS: the number of the latest rest, the rests; then two for each bucket: what is used, and until when leases hold.
-- ARGV: instance, how long its leases hold (ms), the latest rest that it knows, how many rests it tells;
--       for each rest: how long it still lasts (ms; -1 without an end), what it is;
--       for each bucket: kind, window (ms), end of the calendar's period (ms), limit (-1 if unknown), the sum that this
--       instance has used, the sum that was acknowledged, what it has used within the window, the epoch that it knows,
--       how much it wants, how much requests wait for, how much the smallest useful lease is; whether the provider gives
--       back what answers did not need (1 or 0; nothing if that is not known); what it has learnt of the limit: whether the
--       provider has stated it, when that was (ms; 0 if it has learnt nothing), the limit and what else is to be kept.
-- Answer: the time (ms), the latest rest, the rests that are news, and for each bucket: epoch, what all have ever used, what
--       counts now, the lease, how many instances there are, what is left besides; at first the slots of the window; what was
--       learnt of the limit, by whomever; and whether the provider gives back.
local SLOTS = 128
local RING = SLOTS + 1
local KEPT_RESTS = 256
-- A clock that goes back by more than this (ms) was set.
local SET_BACK = 1000
-- After a request has found too little, leases are for those who wait, for so long (ms): everybody asks within a second.
local SHORT = 2000
-- A limit is counted up to here, whatever a provider or another version has written: a larger one would overflow the answer.
local MOST_COUNTED = 2 ^ 40
local me, life = ARGV[1], tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function whole(number) return string.format('%.0f', number) end

local known_rest, told = tonumber(ARGV[3]), tonumber(ARGV[4])
local arg = 5
for _ = 1, told do
  local left = tonumber(ARGV[arg])
  local ends = left < 0 and -1 or now + left
  local number = redis.call('INCR', KEYS[1])
  redis.call('ZADD', KEYS[2], number, number .. ' ' .. me .. ' ' .. whole(now) .. ' ' .. whole(ends) .. ' ' .. ARGV[arg + 1])
  arg = arg + 2
end
local latest_rest = tonumber(redis.call('GET', KEYS[1]) or '0')
if told > 0 then
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -KEPT_RESTS - 1)
  redis.call('EXPIRE', KEYS[1], 172800)
  redis.call('EXPIRE', KEYS[2], 172800)
end
-- A number that goes back is that of a server which was started empty.
if known_rest > latest_rest then known_rest = 0 end
local rests = {}
if known_rest < latest_rest then
  rests = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. whole(known_rest), '+inf', 'LIMIT', 0, KEPT_RESTS)
end
local answer = { now, latest_rest, rests }

-- What no longer counts is subtracted. Returns what does, and since when that is so (slot, end or time).
local function rolled(hash, kind, window, period_end, limit, used, at)
  if kind == 's' then
    local slot = math.floor(now / (window / SLOTS))
    for number = math.max(at + 1, slot - RING + 1), slot do
      local field = 's' .. whole(number % RING)
      local over = redis.call('HGET', hash, field)
      if over then
        used = used - tonumber(over)
        redis.call('HDEL', hash, field)
      end
    end
    return math.max(used, 0), math.max(slot, at)
  elseif kind == 'r' then
    local back = limit > 0 and limit * math.max(now - at, 0) / window or 0
    return math.max(used - back, 0), math.max(now, at)
  elseif kind == 'p' then
    if now >= at then return 0, math.max(period_end, now + 1000) end
    return used, at
  end
  return used, 0
end

-- Counts a use now; what is taken back is taken from the latest.
local function count(hash, kind, at, amount, used)
  if kind == 's' then
    local number, rest = at, amount
    while rest ~= 0 and number > at - RING do
      local field = 's' .. whole(number % RING)
      local counted = tonumber(redis.call('HGET', hash, field) or '0')
      local after = math.max(counted + rest, 0)
      rest = rest - (after - counted)
      if after > 0 then redis.call('HSET', hash, field, whole(after))
      elseif counted > 0 then redis.call('HDEL', hash, field) end
      number = number - 1
    end
    return math.max(used + amount - rest, 0)
  end
  return math.max(used + amount, 0)
end

local key = 3
while key < #KEYS do
  local hash, holders = KEYS[key], KEYS[key + 1]
  key = key + 2
  local kind, window, period_end = ARGV[arg], tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2])
  local limit = math.min(tonumber(ARGV[arg + 3]), MOST_COUNTED)
  local own, acknowledged = tonumber(ARGV[arg + 4]), tonumber(ARGV[arg + 5])
  local own_now, epoch_told = tonumber(ARGV[arg + 6]), ARGV[arg + 7]
  local wanted, waited_for, smallest = tonumber(ARGV[arg + 8]), tonumber(ARGV[arg + 9]), tonumber(ARGV[arg + 10])
  local gives_back = ARGV[arg + 11]
  local stated, learnt_at, learnt = ARGV[arg + 12], tonumber(ARGV[arg + 13]), ARGV[arg + 14]
  arg = arg + 15
  local field = 'i' .. me
  local known = redis.call('HMGET', hash, 'epoch', 'ever', 'used', 'at', 'leased', 'learnt', 'seen', 'short', 'back')
  -- A clock that was set back makes all times wrong that are kept, and a window would never end: all instances tell again
  -- what they have used.
  if known[7] and now < tonumber(known[7]) - SET_BACK then
    redis.call('PEXPIRE', hash, 0)
    redis.call('PEXPIRE', holders, 0)
    known = {}
  end
  local epoch = known[1] or (whole(now) .. '-' .. me)
  local ever, used = tonumber(known[2] or '0'), tonumber(known[3] or '0')
  local at, leased = tonumber(known[4] or '0'), tonumber(known[5] or '0')
  local short = tonumber(known[8] or '0')
  if gives_back == '' then gives_back = known[9] or '' end
  local is_known = epoch == epoch_told
  -- What was stated counts more than what was inferred, then the younger counts.
  local latest = known[6] or ''
  local latest_stated, latest_at, latest_limit = string.match(latest, '^(%d) (%d+) (%d+)')
  latest_stated, latest_at = latest_stated or '0', tonumber(latest_at or '0')
  learnt_at = math.min(learnt_at, now)
  if learnt_at > 0 and (stated > latest_stated or stated == latest_stated and learnt_at >= latest_at) then
    latest = stated .. ' ' .. whole(learnt_at) .. ' ' .. learnt
  elseif latest_limit and (learnt_at > 0 or latest_stated == '1') then
    limit = math.min(tonumber(latest_limit), MOST_COUNTED)
  end
  used, at = rolled(hash, kind, window, period_end, limit, used, at)

  -- Instances that have not been heard of for a while hold nothing any more.
  for _, dead in ipairs(redis.call('ZRANGEBYSCORE', holders, '-inf', whole(now), 'LIMIT', 0, 32)) do
    local its_own, its_lease = string.match(redis.call('HGET', hash, 'i' .. dead) or '0 0', '(%S+) (%S+)')
    leased = leased - tonumber(its_lease)
    if kind == 'a' then
      used = math.max(used - tonumber(its_own), 0)
      ever = ever - tonumber(its_own)
    end
    redis.call('HDEL', hash, 'i' .. dead)
    redis.call('ZREM', holders, dead)
  end

  local record = redis.call('HGET', hash, field)
  local change
  if record then
    local before, lease = string.match(record, '(%S+) (%S+)')
    change = own - tonumber(before)
    leased = leased - tonumber(lease)
  elseif kind == 'a' then
    change = own
  elseif is_known then
    change = own - acknowledged
  else
    change = own_now
  end
  used = count(hash, kind, at, change, used)
  ever = ever + change
  leased = math.max(leased, 0)
  redis.call('ZADD', holders, whole(now + life), me)
  local instances = redis.call('ZCARD', holders)

  local lease, left = wanted, 0
  if limit >= 0 then
    left = math.max(math.floor(limit - used - leased), 0)
    local fair = instances > 1 and math.ceil(left / 2) or left
    local is_short = now < short
    local asked = is_short and waited_for or wanted
    lease = math.min(asked, fair)
    -- A lease is enough for one request, or nothing: of parts that are too small for anybody nobody could use any.
    if asked > 0 and lease < smallest then lease = left >= smallest and smallest or 0 end
    if waited_for > 0 and lease == 0 then short = now + SHORT end
    -- Whoever wants nothing holds an even part of half of what is left, so that its first request need not wait.
    if wanted == 0 and not is_short then
      lease = math.floor(left / (2 * instances))
      if lease < smallest then lease = 0 end
    end
    left = left - lease
  end
  leased = leased + lease
  redis.call('HSET', hash, 'epoch', epoch, 'ever', whole(ever), 'used', string.format('%.3f', used),
    'at', whole(at), 'leased', whole(leased), 'learnt', latest, 'seen', whole(now),
    'short', whole(short), 'back', gives_back, field, whole(own) .. ' ' .. whole(lease))
  local kept = whole(2 * window + 120000)
  redis.call('PEXPIRE', hash, kept)
  redis.call('PEXPIRE', holders, kept)

  local slots = {}
  if kind == 's' and not is_known then
    local length = window / SLOTS
    for number = at - SLOTS, at do
      local counted = redis.call('HGET', hash, 's' .. whole(number % RING))
      if counted then
        slots[#slots + 1] = math.max(math.floor(now - (number + 1) * length), 0)
        slots[#slots + 1] = tonumber(counted)
      end
    end
  end
  answer[#answer + 1] = { epoch, ever, math.ceil(used), lease, instances, left, slots, latest, gives_back }
end
return answer
