-- Connection recovery: the snapshot of a socket, by its private id.
--
-- KEYS[1] snapshot  HASH  "sid": the socket that owns it, and the snapshot's fields
-- ARGV[1] action    take (from any owner) | change (only as the owner) | forget (only as the owner)
-- ARGV[2] sid       the socket
-- ARGV[3] span      ms until it expires
-- ARGV[4] dropped   number of the field names to delete that follow
-- ARGV[5..]         these names, then names and values of the fields to set

local key, action, sid = KEYS[1], ARGV[1], ARGV[2]
if action == 'take' then
  redis.call('DEL', key)
elseif redis.call('HGET', key, 'sid') ~= sid then
  return 0
end
if action == 'forget' then
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
