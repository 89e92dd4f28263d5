-- After COMMIT or rollback: takes this unit's id out of every fence that its rows touch, over the registry
-- as it is now. Where a stamp stands instead (the fence had expired, or was lost), drops the stamp: it may
-- have been born before COMMIT. On its own, without a fence before, this is an invalidation after the fact.
--
-- Returns the table's registry.

local function leave(key)
    -- A stamp, or garbage: either goes.
    if type(redis.pcall('ZREM', key, ARGV[1])) == 'table' then
        redis.call('DEL', key)
    end
end

leave(KEYS[3])
local schemes = registry()
local keys = conjunctions(schemes)
-- The whole table may have been fenced where the rows would do now: the registry has changed since.
if is_sorted_set(KEYS[1]) then
    redis.call('ZREM', KEYS[1], ARGV[1])
end
if keys == nil or #schemes == 0 then
    drop_unless_fence(KEYS[1])
else
    for _, key in ipairs(keys) do
        leave(key)
    end
end
return schemes
