-- After a miss, before the database is read: returns the stamps under which the answer may be stored.
-- Creates what is missing of the generation, the registry and the stamps; all of them live on for as long
-- as an entry may that relies on them.
--
-- KEYS[1] g:{table}   the generation, or the fence in its place
-- KEYS[2] s:{table}   the registry of schemes
-- KEYS[3] f:{table}   the units of work that are committing
-- KEYS[4..] c:{table}:<conjunction>   stamps, or fences in their place
-- ARGV[1] milliseconds that bookkeeping must live on; 0: for ever
-- ARGV[2] schemes that the registry may hold, at most
-- ARGV[3] bytes drawn by the caller, so that nothing is born twice
-- ARGV[4] the run of this server, which whoever asks has learned over the same connection; empty: it has not
-- ARGV[5..] the scheme of each conjunction
-- Returns {'ok', {generation, stamp, ...}, garbage}, {'fenced', {}, garbage} or {'full', registry, garbage},
-- where garbage are the names of keys that held what nobody of us puts there, and are free again.

local LIFETIME, MOST_SCHEMES = tonumber(ARGV[1]), tonumber(ARGV[2])
local RUN = ARGV[4]
local GENERATION, STAMP = 16, 28

if RUN == '' then
    return {'fenced', {}, {}}
end

local time = redis.call('TIME')
local now = struct.pack('>I8', time[1] * 1000000 + time[2]) .. ARGV[3]
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local garbage = {}

local function discard(key)
    redis.call('DEL', key)
    garbage[#garbage + 1] = key
end

-- A fence holds as long as one of its units may be alive. It always has an end: a sorted set without one
-- is none of ours, nor is a key of a type other than that of what the fence would stand in place of.
local function is_fence(key, replaced)
    local kind = redis.call('TYPE', key).ok
    if kind == 'zset' and redis.call('PTTL', key) >= 0 then
        redis.call('ZREMRANGEBYSCORE', key, '-inf', now_ms)
        return redis.call('EXISTS', key) == 1
    end
    if kind ~= replaced and kind ~= 'none' then
        discard(key)
    end
    return false
end

local function read(key, length)
    local value = redis.call('GET', key)
    if value and #value ~= length then
        discard(key)
        return false
    end
    return value
end

local function keep(key)
    if LIFETIME == 0 then
        redis.call('PERSIST', key)
    else
        local left = redis.call('PTTL', key)
        if left >= 0 and left < LIFETIME then
            redis.call('PEXPIRE', key, LIFETIME)
        end
    end
end

local function create(key, value)
    if LIFETIME == 0 then
        redis.call('SET', key, value)
    else
        redis.call('SET', key, value, 'PX', LIFETIME)
    end
end

if is_fence(KEYS[1], 'string') then
    return {'fenced', {}, garbage}
end
local is_committing = is_fence(KEYS[3], 'none')
local kind = redis.call('TYPE', KEYS[2]).ok
local has_registry = kind == 'set'
if not has_registry and kind ~= 'none' then
    discard(KEYS[2])
end

local generation = read(KEYS[1], GENERATION)
if has_registry and generation and string.sub(generation, -#RUN) == RUN then
    keep(KEYS[1])
else
    -- Born together: stamps that an unknown registry may have missed die with the old generation. One of another
    -- run may have been dropped since, where this server has not heard of it: so may its stamps, and its registry
    -- may lack schemes that only they know.
    generation = now .. RUN
    create(KEYS[1], generation)
end

local is_full = false
for i = 4, #KEYS do
    local scheme = ARGV[i + 1]
    if redis.call('SISMEMBER', KEYS[2], scheme) == 0 then
        if is_committing then
            -- A new scheme, or all are since the registry was lost: the unit that is committing may not have
            -- fenced its conjunctions.
            return {'fenced', {}, garbage}
        elseif scheme ~= '' and redis.call('SCARD', KEYS[2]) >= MOST_SCHEMES then
            is_full = true
        else
            redis.call('SADD', KEYS[2], scheme)
        end
    end
end
if has_registry or LIFETIME == 0 then
    keep(KEYS[2])
else
    redis.call('PEXPIRE', KEYS[2], LIFETIME)
end
if is_full then
    return {'full', redis.call('SMEMBERS', KEYS[2]), garbage}
end

local stamps = {generation}
for i = 4, #KEYS do
    local key = KEYS[i]
    if is_fence(key, 'string') then
        return {'fenced', {}, garbage}
    end
    local stamp = read(key, STAMP)
    if stamp and string.sub(stamp, 1, GENERATION) == generation then
        keep(key)
    else
        stamp = generation .. now
        create(key, stamp)
    end
    stamps[#stamps + 1] = stamp
end
return {'ok', stamps, garbage}
