-- Removes a key unless it is a fence, which the unit of work that has put it there will end.
--
-- KEYS[1] an entry, a generation, a registry or a stamp
-- Returns how many keys it has removed.

if redis.call('TYPE', KEYS[1]).ok == 'zset' then
    return 0
end
return redis.call('DEL', KEYS[1])
