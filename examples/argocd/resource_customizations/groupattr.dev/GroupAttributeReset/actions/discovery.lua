-- Which of the actions make sense now.
local finished = false
if obj.status ~= nil and obj.status.observedGeneration == obj.metadata.generation then
  for _, condition in ipairs(obj.status.conditions or {}) do
    finished = finished or (condition.type == "Finished" and condition.status == "True")
  end
end
local suspended = obj.spec.suspend == true
return {
  rerun = { disabled = not finished },
  suspend = { disabled = finished or suspended },
  resume = { disabled = not suspended },
}
