-- Lets a lock live on for whoever holds it.
--
-- KEYS[1] l:{name}   the token of the holder
-- ARGV[1] the token of who asks
-- ARGV[2] milliseconds after which it counts as dead if it does not renew the lock again
-- Returns 1, or 0 if somebody else holds the lock by now, or nobody.

if redis.pcall('GET', KEYS[1]) == ARGV[1] then
    return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
