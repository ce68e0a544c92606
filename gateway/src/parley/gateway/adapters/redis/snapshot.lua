-- Recovery: what is kept of a socket, by its private id.
--
-- KEYS[1] keepsake  HASH  "sid": the socket that keeps it, and the keepsake's own fields
-- ARGV[1] what      take (from whomever it was) | change (only one's own) | forget (only one's own)
-- ARGV[2] sid       the socket
-- ARGV[3] span      ms until it lapses
-- ARGV[4] dropped   how many names of fields to drop follow
-- ARGV[5..]         these names, then names and values of fields to set

local key, what, sid = KEYS[1], ARGV[1], ARGV[2]
if what == 'take' then
  redis.call('DEL', key)
elseif redis.call('HGET', key, 'sid') ~= sid then
  return 0
end
if what == 'forget' then
  return redis.call('DEL', key)
end
local first = 5 + tonumber(ARGV[4])
for i = 5, first - 1 do
  redis.call('HDEL', key, ARGV[i])
end
redis.call('HSET', key, 'sid', sid)
for i = first, #ARGV, 2 do
  redis.call('HSET', key, ARGV[i], ARGV[i + 1])
end
redis.call('PEXPIRE', key, ARGV[3])
return 1
