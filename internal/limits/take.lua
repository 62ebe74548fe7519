-- KEYS[1] holds the times of the uses allowed, oldest first, in microseconds.
-- ARGV: the limit, the window in microseconds, 1 to count a use or 0 to look.
-- Answers: allowed, remaining, microseconds until the oldest use falls out.
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])

local kept, dropped = {}, 0
for _, text in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  local at = tonumber(text)
  -- A use exactly one window old still counts: both ends belong to the window.
  if at >= now - window and at <= now + window then
    kept[#kept + 1] = at
  else
    dropped = dropped + 1
  end
end

local allowed = #kept < limit
if allowed and ARGV[3] == '1' then
  if #kept > 0 and kept[#kept] > now then
    now = kept[#kept] -- after a small step back of the clock the times stay in order
  end
  kept[#kept + 1] = now
  if dropped > 0 then
    redis.call('DEL', KEYS[1])
    for _, at in ipairs(kept) do
      redis.call('RPUSH', KEYS[1], string.format('%.0f', at))
    end
  else
    redis.call('RPUSH', KEYS[1], string.format('%.0f', now))
  end
  redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000) * 2 + 1000)
end

local reset = 0
if #kept > 0 then
  -- A use exactly one window old leaves it one microsecond later, so reset is not 0 while uses count.
  reset = math.max(1, kept[1] + window - now)
end
return {allowed and 1 or 0, limit - #kept, string.format('%.0f', reset)}
