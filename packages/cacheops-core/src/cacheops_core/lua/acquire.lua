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
-- ARGV[3..] the scheme of each conjunction
-- Returns {'ok', generation, stamp, ...}, {'fenced'}, or {'full', refused scheme, ...}

local time = redis.call('TIME')
local now = struct.pack('>I8', time[1] * 1000000 + time[2])
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)

local LIFETIME, MOST_SCHEMES = tonumber(ARGV[1]), tonumber(ARGV[2])

local function type_of(key)
    return redis.call('TYPE', key).ok
end

-- A fence holds as long as one of its units may be alive. It always has an end: a sorted set without one,
-- or a key of another type, is none of ours.
local function is_fence(key)
    local kind = type_of(key)
    if kind == 'zset' and redis.call('PTTL', key) >= 0 then
        redis.call('ZREMRANGEBYSCORE', key, '-inf', now_ms)
        return redis.call('EXISTS', key) == 1
    end
    if kind ~= 'string' and kind ~= 'none' then
        redis.call('DEL', key)
    end
    return false
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

local function expire_new(key)
    if LIFETIME > 0 and redis.call('PTTL', key) == -1 then
        redis.call('PEXPIRE', key, LIFETIME)
    end
end

if is_fence(KEYS[1]) then
    return {'fenced'}
end
local is_committing = is_fence(KEYS[3])
local kind = type_of(KEYS[2])
local has_registry = kind == 'set'
if not has_registry and kind ~= 'none' then
    redis.call('DEL', KEYS[2])
end
local generation = redis.call('GET', KEYS[1])
if generation and #generation ~= 8 then
    generation = false
end

if not has_registry and is_committing then
    -- The unit that is committing saw a registry that is lost now, or none: it could not fence our schemes.
    return {'fenced'}
end
if not has_registry or not generation then
    -- Born together: stamps that an unknown registry may have missed die with the old generation.
    generation = now
    create(KEYS[1], generation)
else
    keep(KEYS[1])
end

local refused = {'full'}
local born = not has_registry
for i = 4, #KEYS do
    local scheme = ARGV[i - 1]
    if redis.call('SISMEMBER', KEYS[2], scheme) == 0 then
        if is_committing then
            -- A new scheme: the unit that is committing has not fenced its conjunctions.
            return {'fenced'}
        elseif scheme ~= '' and redis.call('SCARD', KEYS[2]) >= MOST_SCHEMES then
            refused[#refused + 1] = scheme
        else
            redis.call('SADD', KEYS[2], scheme)
        end
    end
end
if born then expire_new(KEYS[2]) end
keep(KEYS[2])
if #refused > 1 then
    return refused
end

local stamps = {'ok', generation}
for i = 4, #KEYS do
    local key = KEYS[i]
    if is_fence(key) then
        return {'fenced'}
    end
    local stamp = redis.call('GET', key)
    if stamp and #stamp == 16 and string.sub(stamp, 1, 8) == generation then
        keep(key)
    else
        stamp = generation .. now
        create(key, stamp)
    end
    stamps[#stamps + 1] = stamp
end
return stamps
