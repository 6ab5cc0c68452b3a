-- Health of a ChatApp or ClusterChatApp, from its condition Ready.
-- These reasons pass without a change to this object: a Secret that comes later, a vendor that is back.
local passing = { Pending = true, SecretNotFound = true, SecretKeyMissing = true, Unreachable = true }
local hs = { status = "Progressing", message = "Waiting for groupattr-operator to look at this spec" }
if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return hs
end
for _, condition in ipairs(obj.status.conditions or {}) do
  if condition.type == "Ready" then
    hs.message = condition.reason .. ": " .. condition.message
    if condition.status == "True" then
      hs.status = "Healthy"
    elseif condition.reason == "Suspended" then
      hs.status = "Suspended"
    elseif condition.status == "False" and not passing[condition.reason] then
      hs.status = "Degraded"
    end
  end
end
return hs
