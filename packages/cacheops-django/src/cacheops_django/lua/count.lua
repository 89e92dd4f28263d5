-- Adds what one process has counted to the hashes that all processes share.
--
-- KEYS[1]     numbers and texts of queries, this hour
-- KEYS[2...]  numbers by model and op: this minute, this hour, in all
-- ARGV[1]     {query: {"text": text or false, "numbers": {name: number}}} as JSON
-- ARGV[2]     {field: number} as JSON
-- ARGV[3]     the most fields that a hash may have; what does not fit any more is left out
-- ARGV[4...]  milliseconds that each key lives from now on
-- Returns the queries that were left out because nobody has told their text yet, or it was lost.

local most = tonumber(ARGV[3])

local function add(key, field, number)
    redis.call('HINCRBY', key, field, string.format('%.0f', number))
end

local unknown = {}
for query, counted in pairs(cjson.decode(ARGV[1])) do
    local text = query .. '|text'
    local is_known = redis.call('HEXISTS', KEYS[1], text) == 1
    if not is_known and not counted.text then
        table.insert(unknown, query)
    elseif is_known or redis.call('HLEN', KEYS[1]) < most then
        if not is_known then
            redis.call('HSET', KEYS[1], text, counted.text)
        end
        for name, number in pairs(counted.numbers) do
            add(KEYS[1], query .. '|' .. name, number)
        end
    end
end
for field, number in pairs(cjson.decode(ARGV[2])) do
    for index = 2, #KEYS do
        local key = KEYS[index]
        if redis.call('HEXISTS', key, field) == 1 or redis.call('HLEN', key) < most then
            add(key, field, number)
        end
    end
end
for index, key in ipairs(KEYS) do
    redis.call('PEXPIRE', key, ARGV[3 + index])
end
return unknown
