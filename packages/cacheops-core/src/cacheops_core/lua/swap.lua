-- Puts one entry in the place of another, if that is still there: who has added to a number that the server
-- cannot read learns so whether somebody else was faster.
--
-- KEYS[1] an entry of the simple cache
-- ARGV[1] what was read there; empty: nothing
-- ARGV[2] the new entry
-- ARGV[3] milliseconds that it lives; 0: for ever; 'keep': as long as the old one would have
-- Returns 1, or 0 if what was read is not there any more.

-- As it was read: MGET takes a key of another type for nothing, where GET fails.
if (redis.call('MGET', KEYS[1])[1] or '') ~= ARGV[1] then
    return 0
end
if ARGV[3] == 'keep' then
    redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
elseif ARGV[3] == '0' then
    redis.call('SET', KEYS[1], ARGV[2])
else
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return 1
