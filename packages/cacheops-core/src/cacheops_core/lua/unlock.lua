-- Gives a lock back, if it is still held by who says so, and wakes all who wait for this holder.
--
-- They block on a list that is named after the holder's token, by moving its only element from its head to
-- its tail: so one element wakes them all, however many they are, and none of a later holder's.
--
-- KEYS[1] l:{name}   the token of the holder
-- KEYS[2] w:{name}:<token>   the list on which this holder's waiters block
-- ARGV[1] the token of who asks
-- ARGV[2] milliseconds for which those are told who are only about to wait
-- Returns 1 if the lock was still held.

local is_held = redis.pcall('GET', KEYS[1]) == ARGV[1]
if is_held then
    redis.call('DEL', KEYS[1])
end
redis.call('DEL', KEYS[2])
redis.call('RPUSH', KEYS[2], '')
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return is_held and 1 or 0
