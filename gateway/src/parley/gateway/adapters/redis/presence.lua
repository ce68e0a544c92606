-- Presence: a lease per socket, timed by the clock of Redis.
--
-- KEYS[1] leases    ZSET  "<user>\0<socket>" scored by the end of its lease (ms)
-- KEYS[2] sockets   HASH  user -> live sockets
-- KEYS[3] leaving   ZSET  user scored by the end of their grace (ms)
-- ARGV[1] action    arrive | leave | sweep
-- ARGV[2] span      ms: the lease (arrive), the grace (leave), unused (sweep)
-- ARGV[3..]         members (arrive, leave); ARGV[3] is the limit (sweep)
--
-- Returns the users whose state changed: online after arrive, offline after sweep. A user who leaves is
-- offline only when their grace is swept; a user who returns before that stays online.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function user_of(member)
  return string.sub(member, 1, string.find(member, '\0', 1, true) - 1)
end

local function arrive(member, span)
  local user = user_of(member)
  if redis.call('ZADD', KEYS[1], now + span, member) == 0 then
    return nil
  end
  local count = redis.call('HINCRBY', KEYS[2], user, 1)
  local was_leaving = redis.call('ZREM', KEYS[3], user)
  if count == 1 and was_leaving == 0 then
    return user
  end
end

local function drop(member)
  local user = user_of(member)
  if redis.call('ZREM', KEYS[1], member) == 0 then
    return nil
  end
  if redis.call('HINCRBY', KEYS[2], user, -1) <= 0 then
    redis.call('HDEL', KEYS[2], user)
    return user
  end
end

local changed = {}
local action, span = ARGV[1], tonumber(ARGV[2])
if action == 'arrive' then
  for i = 3, #ARGV do
    changed[#changed + 1] = arrive(ARGV[i], span)
  end
elseif action == 'leave' then
  for i = 3, #ARGV do
    drop(ARGV[i])
    -- Also if Redis has lost the lease in a restart: other users still see this one online.
    if redis.call('HEXISTS', KEYS[2], user_of(ARGV[i])) == 0 then
      redis.call('ZADD', KEYS[3], now + span, user_of(ARGV[i]))
    end
  end
else
  local limit = tonumber(ARGV[3])
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, limit)) do
    local user = drop(member)
    if user then
      redis.call('ZREM', KEYS[3], user)
      changed[#changed + 1] = user
    end
  end
  for _, user in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, limit)) do
    redis.call('ZREM', KEYS[3], user)
    changed[#changed + 1] = user
  end
end
return changed
