-- After COMMIT or rollback: takes this unit's id out of every fence that its rows touch, over the registry
-- as it is now. Where a stamp stands instead (the fence had expired, or was lost), drops the stamp: it may
-- have been born before COMMIT. On its own, without a fence before, this is an invalidation after the fact.
--
-- Where this unit's own fence has stood until now, near caches have been told and nobody could fill since.
-- Where it has not, they are told again.
-- Returns the table's registry.

-- Returns whether the unit's fence still stood.
local function leave(key)
    local left = redis.pcall('ZREM', key, ARGV[1])
    if type(left) == 'table' then
        -- A stamp, or garbage: either goes.
        redis.call('DEL', key)
    end
    return left == 1
end

local was_committing = leave(KEYS[3])
local schemes = registry()
local keys = conjunctions(schemes)
-- The whole table may have been fenced where the rows would do now: the registry has changed since.
local has_stood = is_sorted_set(KEYS[1]) and redis.call('ZREM', KEYS[1], ARGV[1]) == 1
if keys == nil or #schemes == 0 then
    drop_unless_fence(KEYS[1])
    if not has_stood then
        tell(nil)
    end
else
    local lost = {}
    for _, key in ipairs(keys) do
        if not leave(key) then
            lost[#lost + 1] = key
        end
    end
    -- Nobody makes a registry while a unit stands in f:{table}: it names what was fenced, unless that was lost.
    if #lost > 0 or not was_committing then
        tell(lost)
    end
end
return schemes
