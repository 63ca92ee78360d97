-- What instances remember together: signatures, as news for all; answers, for whoever asks for one. All of it is sealed.
-- Each call is atomic, and the same call twice is as good as once.
--
-- KEYS: news (a stream), answers (sealed, by name), about (when each was given, and the one it goes on from), order (by
--       when they were last gone on from), sizes (of all news, of all answers).
-- ARGV: what is to be done, then
--   tell    instance, the most bytes of all news; then pairs: 's' and a sealed signature, or 'f' and the name of an answer
--           that is to be forgotten.
--   keep    the most bytes of all answers, name, the name of the one it goes on from (or nothing), the sealed answer.
--   chains  names. Answer, for each: name, age (ms) and size of it and of those it goes on from, or nothing if one of them is
--           missing. One that is in a chain before ends a chain.
local KEPT = 3600000
local OVERHEAD = 512
local MOST_LINKS = 256
-- What one question is answered with, so that it takes no millisecond.
local MOST_ASKED = 2 * MOST_LINKS
local news, answers, about, order, sizes = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function whole(number) return string.format('%.0f', number) end
local function size(of) return tonumber(redis.call('HGET', sizes, of) or '0') end

local function forget(name)
  local length = redis.call('HSTRLEN', answers, name)
  redis.call('ZREM', order, name)
  redis.call('HDEL', about, name)
  if redis.call('HDEL', answers, name) == 1 then
    redis.call('HINCRBY', sizes, 'answers', -(length + OVERHEAD))
  end
end

-- Drops the oldest news as long as there are more bytes than may be, or they are too old.
local function drop_news(most)
  local bytes = size('news')
  while true do
    local oldest = redis.call('XRANGE', news, '-', '+', 'COUNT', 1)[1]
    if not oldest then bytes = 0 break end
    local told = tonumber(string.match(oldest[1], '^%d+'))
    if bytes <= most and told > now - KEPT then break end
    redis.call('XDEL', news, oldest[1])
    bytes = bytes - #oldest[2][4] - OVERHEAD
  end
  redis.call('HSET', sizes, 'news', whole(bytes))
end

-- Forgets the oldest answers as long as there are more bytes than may be, or they are too old; never this one.
local function drop_answers(most, this)
  while true do
    local oldest = redis.call('ZRANGE', order, 0, 1, 'WITHSCORES')
    local name, used = oldest[1], oldest[2]
    if name == this then name, used = oldest[3], oldest[4] end
    if not name or (size('answers') <= most and tonumber(used) > now - KEPT) then break end
    forget(name)
  end
end

local function before(name)
  local known = redis.call('HGET', about, name)
  if not known then return nil end
  local given, parent = string.match(known, '^(%d+) (%x*)$')
  return tonumber(given), parent
end

local function expire()
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, 2 * KEPT) end
end

if ARGV[1] == 'tell' then
  local bytes = 0
  -- The first to write: a full server takes what only deletes, and whatever follows that in the same call.
  for at = 4, #ARGV, 2 do
    if ARGV[at] == 'f' then forget(ARGV[at + 1]) end
  end
  for at = 4, #ARGV, 2 do
    local kind, text = ARGV[at], ARGV[at + 1]
    redis.call('XADD', news, '*', 'by', ARGV[2], kind, text)
    bytes = bytes + #text + OVERHEAD
  end
  redis.call('HINCRBY', sizes, 'news', bytes)
  drop_news(tonumber(ARGV[3]))
  expire()
  return 'OK'
elseif ARGV[1] == 'keep' then
  local most, name, parent, sealed = tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
  if #sealed + OVERHEAD > most then return 'OK' end
  -- The first to write: a full server refuses this, but not what only follows a deletion.
  redis.call('HINCRBY', sizes, 'answers', #sealed + OVERHEAD)
  forget(name)
  redis.call('HSET', answers, name, sealed)
  redis.call('HSET', about, name, whole(now) .. ' ' .. parent)
  -- Those it goes on from are kept as long as it is.
  local links = { name }
  while parent and parent ~= '' and #links < MOST_LINKS do
    links[#links + 1] = parent
    local _, older = before(parent)
    parent = older
  end
  for _, link in ipairs(links) do
    if redis.call('HEXISTS', answers, link) == 1 then
      redis.call('ZADD', order, whole(now), link)
    end
  end
  drop_answers(most, name)
  expire()
  return 'OK'
elseif ARGV[1] == 'chains' then
  local chains, known, asked = {}, {}, 0
  for at = 2, #ARGV do
    local chain, name = {}, ARGV[at]
    while name and name ~= '' and #chain < 3 * MOST_LINKS do
      asked = asked + 1
      local given, parent = before(name)
      if not given or asked > MOST_ASKED then
        chain = {}
        break
      end
      chain[#chain + 1] = name
      chain[#chain + 1] = math.max(now - given, 0)
      chain[#chain + 1] = redis.call('HSTRLEN', answers, name)
      name = not known[name] and parent
    end
    for link = 1, #chain, 3 do known[chain[link]] = true end
    chains[#chains + 1] = chain
  end
  return chains
end
return redis.error_reply('ERR unknown request')
