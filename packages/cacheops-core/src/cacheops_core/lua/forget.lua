-- Removes an entry, and tells those who keep near copies of it.
--
-- KEYS[1] an entry; what the keys of all entries begin with stands for everything
-- ARGV[1] the channel on which near caches listen
-- Returns how many keys it has removed.

-- Whom an ACL forbids to publish may write all the same: copies end at their age.
redis.pcall('PUBLISH', ARGV[1], KEYS[1])
return redis.call('DEL', KEYS[1])
