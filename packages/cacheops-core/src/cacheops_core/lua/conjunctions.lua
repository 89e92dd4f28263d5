-- Shared by fence and release: what rows mean to a table's registry. Opened in front of each of them.
--
-- KEYS[1] g:{table}   the generation, or the fence in its place
-- KEYS[2] s:{table}   the registry of schemes
-- KEYS[3] f:{table}   the units of work that are committing
-- ARGV[1] the unit of work
-- ARGV[2] what the keys of conjunctions begin with
-- ARGV[3] keys that may be touched, at most
-- ARGV[4] the rows as JSON: [{field: token or null}, ...]; empty for the whole table

local LONG_TEXT = 96

local MOST_TOLD = 100

local GENERATION = 16

local function hex(bytes)
    return (string.gsub(bytes, '.', function(byte) return string.format('%02x', string.byte(byte)) end))
end

-- Tells near caches which stamps are no more: the keys, or nil for the whole table. The message is the
-- generation's key, then "=" and the generation, then the other keys, a line each. The registry which names the
-- keys is one with this generation: whoever has copies under another one may have some of schemes that it lacks.
-- Without a generation nobody can tell.
local function tell(keys)
    local message = KEYS[1]
    local generation = redis.pcall('GET', KEYS[1])
    local is_known = type(generation) == 'string' and #generation == GENERATION
    if keys and #keys <= MOST_TOLD and is_known then
        message = table.concat({message, '=' .. hex(generation), unpack(keys)}, '\n')
    end
    -- No prefix has a brace. Whom an ACL forbids to publish may write all the same: copies end at their age.
    local prefix = string.sub(KEYS[1], 1, string.find(KEYS[1], '{', 1, true) - 3)
    redis.pcall('PUBLISH', prefix .. 'near', message)
end

local function is_sorted_set(key)
    return redis.call('TYPE', key).ok == 'zset'
end

-- What stands in a generation's place and is not a fence is a generation, or garbage: without it the
-- whole table is unknown.
local function drop_unless_fence(key)
    if not is_sorted_set(key) then
        redis.call('DEL', key)
    end
end

local function registry()
    -- Garbage in place of the registry is no registry.
    local schemes = redis.pcall('SMEMBERS', KEYS[2])
    if schemes.err then
        redis.call('DEL', KEYS[2])
        return {}
    end
    return schemes
end

-- The keys of all conjunctions that the rows meet, or nil where only the whole table will do: where a
-- row does not know a field that a scheme asks for, and where there would be too many.
local function conjunctions(schemes)
    if ARGV[4] == '' then
        return nil
    end
    local parsed = {}
    for i, scheme in ipairs(schemes) do
        local fields = {}
        for field in string.gmatch(scheme, '[^&]+') do
            fields[#fields + 1] = field
        end
        parsed[i] = fields
    end
    local keys, seen, most = {}, {}, tonumber(ARGV[3])
    for _, row in ipairs(cjson.decode(ARGV[4])) do
        for _, fields in ipairs(parsed) do
            local parts = {}
            for i, field in ipairs(fields) do
                local token = row[field]
                if token == nil then
                    return nil
                end
                parts[i] = token == cjson.null and field or (field .. '=' .. token)
            end
            local text = table.concat(parts, '&')
            if #text > LONG_TEXT then
                text = '#' .. redis.sha1hex(text)
            end
            if not seen[text] then
                seen[text] = true
                keys[#keys + 1] = ARGV[2] .. text
                if #keys > most then
                    return nil
                end
            end
        end
    end
    return keys
end
