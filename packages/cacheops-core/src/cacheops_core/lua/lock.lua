-- Takes a lock if it is free.
--
-- KEYS[1] l:{name}   the token of the holder
-- ARGV[1] the token of who asks
-- ARGV[2] milliseconds after which the holder counts as dead if it does not renew the lock
-- Returns {token of the holder, milliseconds left to it}.

-- What has no end, or is no string, is no lock of ours.
if redis.call('TYPE', KEYS[1]).ok ~= 'string' or redis.call('PTTL', KEYS[1]) < 0 then
    redis.call('DEL', KEYS[1])
end
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
    return {ARGV[1], tonumber(ARGV[2])}
end
return {redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}
