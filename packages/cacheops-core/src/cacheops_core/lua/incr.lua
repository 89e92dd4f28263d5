-- Adds to a whole number, which is 0 where there is none yet. In one step, so that a number that expires
-- just now does not come back without an end.
--
-- KEYS[1] an entry of the simple cache
-- ARGV[1] what to add
-- ARGV[2] milliseconds that a new number lives; 0: for ever
-- Returns the sum, or nothing if what stands there is no whole number.

if redis.call('EXISTS', KEYS[1]) == 0 then
    if ARGV[2] == '0' then
        redis.call('SET', KEYS[1], 0)
    else
        redis.call('SET', KEYS[1], 0, 'PX', ARGV[2])
    end
end
local sum = redis.pcall('INCRBY', KEYS[1], ARGV[1])
if type(sum) == 'table' then
    return false
end
return sum
