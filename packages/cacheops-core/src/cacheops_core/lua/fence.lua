-- Before COMMIT: puts a fence with this unit's id in place of every stamp that its rows touch, whether or
-- not a stamp was there, so that nobody fills until the unit releases it.
--
-- A fence is a sorted set of units by the moment at which each of them counts as dead, so that a unit that
-- died does not live on in a fence that others keep renewing.
--
-- ARGV[5] milliseconds that the fence stands if nobody releases it
-- Tells near caches what is fenced, in this same step: whoever asks the server later is told by the fence.
-- Returns the table's registry, so that the writer knows which fields to look at next time.

local LIFETIME = tonumber(ARGV[5])

local time = redis.call('TIME')
local deadline = time[1] * 1000 + math.floor(time[2] / 1000) + LIFETIME

local function put_fence(key)
    local left = redis.call('PTTL', key)
    if left == -1 then
        -- A stamp, or a sorted set that is none of ours: fences have an end.
        redis.call('DEL', key)
    end
    local added = redis.pcall('ZADD', key, deadline, ARGV[1])
    if type(added) == 'table' then
        -- A stamp is in the way, or garbage. Anything else, such as a server out of memory, fails again here.
        if string.find(added.err, 'WRONGTYPE', 1, true) then
            redis.call('DEL', key)
            left = -1
        end
        redis.call('ZADD', key, deadline, ARGV[1])
    end
    -- Never sooner than another unit's deadline in the same fence.
    if left < LIFETIME then
        redis.call('PEXPIRE', key, LIFETIME)
    end
end

put_fence(KEYS[3])
local schemes = registry()
local keys = conjunctions(schemes)
if keys == nil then
    put_fence(KEYS[1])
elseif #schemes == 0 then
    -- Nobody knows which stamps there may be: the generation goes, and with it all of them.
    drop_unless_fence(KEYS[1])
else
    for _, key in ipairs(keys) do
        put_fence(key)
    end
end
tell(#schemes > 0 and keys or nil)
return schemes
