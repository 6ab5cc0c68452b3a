-- Health of a GroupAttributeReset, from its condition Succeeded.
local hs = { status = "Progressing", message = "Waiting for groupattr-operator to look at this spec" }
if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return hs
end
for _, condition in ipairs(obj.status.conditions or {}) do
  if condition.type == "Succeeded" then
    hs.message = condition.reason .. ": " .. condition.message
    if condition.status == "True" then
      hs.status = "Healthy"
    elseif condition.status == "False" then
      hs.status = "Degraded"
    elseif condition.reason == "Suspended" then
      hs.status = "Suspended"
    end
  end
end
return hs
